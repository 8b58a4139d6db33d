package reaper

import "testing"

func TestWhyAProcessIsStranded(t *testing.T) {
	serving, none := []string{"tcp 0.0.0.0:443"}, []string{}
	for _, tt := range []struct {
		name      string
		role      Role
		listeners []string
		otherUser bool
		want      StrandedReason
	}{
		{"it listens", RoleStranded, serving, false, StrandedListening},
		{"it listens, whoever superseded it", RoleStranded, serving, true, StrandedListening},
		{"its sockets could not be read", RoleStranded, nil, false, StrandedUnreadable},
		{"its user is another than the active's", RoleStranded, none, true, StrandedOtherUser},
		{"nothing says that it was told to stop", RoleStranded, none, false, StrandedNotTold},
		{"a residual one is not", RoleResidual, none, true, ""},
		{"nor is the active", RoleActive, serving, false, ""},
	} {
		if got := strandedReason(tt.role, tt.listeners, tt.otherUser); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
