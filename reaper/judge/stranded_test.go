package judge

import (
	"testing"
)

func TestWhyAProcessIsStranded(t *testing.T) {
	serving, none := []string{"tcp 0.0.0.0:443"}, []string{}
	for _, tt := range []struct {
		name      string
		role      Role
		listeners []string
		otherwise StrandedReason
		want      StrandedReason
	}{
		{"it listens", RoleStranded, serving, StrandedNotTold, StrandedListening},
		{"it listens, whoever superseded it", RoleStranded, serving, StrandedOtherUser, StrandedListening},
		{"its sockets could not be read", RoleStranded, nil, StrandedNotTold, StrandedUnreadable},
		{"its user is another than the active's", RoleStranded, none, StrandedOtherUser, StrandedOtherUser},
		{"nothing says that it was told to stop", RoleStranded, none, StrandedNotTold, StrandedNotTold},
		{"nothing ties it to a service", RoleStranded, none, StrandedNoInstance, StrandedNoInstance},
		{"a residual one is not", RoleResidual, none, StrandedOtherUser, ""},
		{"nor is the active", RoleActive, serving, StrandedNotTold, ""},
	} {
		if got := strandedReason(tt.role, tt.listeners, tt.otherwise); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
