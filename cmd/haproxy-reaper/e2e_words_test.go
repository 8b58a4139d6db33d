package main

import (
	"slices"
	"testing"
)

// HAProxy pads the name of an abns@ socket with NULs to the whole of sun_path. That
// of an abnsz@ socket (3.2 and later) it does not.
func TestAnAbstractListenerIsShownByItsName(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		want, sections := []string{"unix @inner"}, "frontend inner\n    bind abns@inner\n    default_backend be\n"
		if b.since(3, 2) {
			want, sections = append(want, "unix @bare"), sections+"frontend bare\n    bind abnsz@bare\n    default_backend be\n"
		}
		s := b.startService("web", setup{sections: sections})
		got := b.agent("status").exits(0).process(s.active()).Listeners
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("the active listens on %q, want %q among them", got, name)
			}
		}
	})
}
