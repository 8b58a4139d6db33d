package flags

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestThePolicyIsWhatItsFlagsSay(t *testing.T) {
	plain := judge.Policy{Deadline: 30 * time.Minute, DeadlineFor: map[uint16]time.Duration{}, ActiveWithin: time.Minute}
	with := func(change func(*judge.Policy)) judge.Policy {
		p := plain
		p.DeadlineFor = map[uint16]time.Duration{}
		change(&p)
		return p
	}
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		file string
		want judge.Policy
	}{
		"by default a deadline alone": {want: plain},
		"every flag": {
			args: "--deadline 1h --deadline-for 22=24h --deadline-for 443=10m --deadline-jitter 5m --hard-deadline 4h --active-within 30s --empty-after 1m --idle-after 2h --max-residual 3 --min-available-memory 10 --max-terminations 5",
			want: judge.Policy{
				Deadline: time.Hour, DeadlineFor: map[uint16]time.Duration{22: 24 * time.Hour, 443: 10 * time.Minute}, DeadlineJitter: 5 * time.Minute,
				HardDeadline: 4 * time.Hour, ActiveWithin: 30 * time.Second, EmptyAfter: new(time.Minute), IdleAfter: 2 * time.Hour,
				MaxResidual: 3, MinAvailableMemory: 10, MaxTerminations: 5,
			},
		},
		"ports in the file, separated by commas": {file: "HAPROXY_REAPER_DEADLINE_FOR=22=24h, 443=10m # ssh, https", want: with(func(p *judge.Policy) {
			p.DeadlineFor = map[uint16]time.Duration{22: 24 * time.Hour, 443: 10 * time.Minute}
		})},
		"the flag takes the place of the file's list": {args: "--deadline-for 22=1h", file: "HAPROXY_REAPER_DEADLINE_FOR=22=24h,443=10m", want: with(func(p *judge.Policy) {
			p.DeadlineFor[22] = time.Hour
		})},
		"the empty at once": {env: map[string]string{"HAPROXY_REAPER_EMPTY_AFTER": "0s"}, want: with(func(p *judge.Policy) { p.EmptyAfter = new(time.Duration(0)) })},
		"what the file turns on a flag turns off": {
			args: "--empty-after off --idle-after=off --hard-deadline off", file: "HAPROXY_REAPER_EMPTY_AFTER=1m\nHAPROXY_REAPER_IDLE_AFTER=1m\nHAPROXY_REAPER_HARD_DEADLINE=4h", want: plain,
		},
		"active clients in the file, for whoever sets a hard deadline": {file: "HAPROXY_REAPER_ACTIVE_WITHIN=5m", want: with(func(p *judge.Policy) { p.ActiveWithin = 5 * time.Minute })},
		"a hard deadline that is the other one changes nothing":        {args: "--hard-deadline 30m", want: with(func(p *judge.Policy) { p.HardDeadline = 30 * time.Minute })},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse("reap "+row.args, row.env, files{defaultConfigFile: row.file})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, c.Policy()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestABadPolicyIsOneLine holds the words of every usage error of a policy.
func TestABadPolicyIsOneLine(t *testing.T) {
	invalid := func(value, flag, why string) string {
		return `invalid argument "` + value + `" for "--` + flag + `" flag: ` + why
	}
	const soon = "must be a duration such as 0s, 30m, 2h or 1d"
	for args, want := range map[string]string{
		"--deadline-for 22":                               invalid("22", "deadline-for", "must be a port and its deadline, such as 22=24h"),
		"--deadline-for 0=1h":                             invalid("0=1h", "deadline-for", "must begin with a port from 1 to 65535"),
		"--deadline-for 65536=1h":                         invalid("65536=1h", "deadline-for", "must begin with a port from 1 to 65535"),
		"--deadline-for -1=1h":                            invalid("-1=1h", "deadline-for", "must begin with a port from 1 to 65535"),
		"--deadline-for ssh=1h":                           invalid("ssh=1h", "deadline-for", "must begin with a port from 1 to 65535"),
		"--deadline-for 22=":                              invalid("22=", "deadline-for", "deadline of port 22: "+soon),
		"--deadline-for 22=-1h":                           invalid("22=-1h", "deadline-for", "deadline of port 22: must not be negative"),
		"--deadline-for 22=1h,443=2h":                     invalid("22=1h,443=2h", "deadline-for", "deadline of port 22: "+soon),
		"--deadline-for 22=1h --deadline-for 022=2h":      "--deadline-for: port 22 has two deadlines",
		"--deadline-jitter -1m":                           invalid("-1m", "deadline-jitter", "must not be negative"),
		"--hard-deadline 10m":                             "--hard-deadline (10m) is shorter than the deadline of 30m (default)",
		"--hard-deadline 1h --deadline 2h":                "--hard-deadline (1h) is shorter than the deadline of 2h (--deadline)",
		"--hard-deadline never":                           invalid("never", "hard-deadline", soon+", or off"),
		"--hard-deadline -1h":                             invalid("-1h", "hard-deadline", "must not be negative, or off"),
		"--active-within 5m":                              "--active-within: says nothing without --hard-deadline",
		"--hard-deadline off --active-within 5m":          "--active-within: says nothing without --hard-deadline",
		"--empty-after 5":                                 invalid("5", "empty-after", soon+", or off"),
		"--idle-after 0s":                                 "--idle-after: must be longer than 0s, or off",
		"--max-residual -1":                               invalid("-1", "max-residual", "must not be negative"),
		"--drain-rate 0":                                  invalid("0", "drain-rate", "must be more than 0, or off"),
		"--drain-rate -5":                                 invalid("-5", "drain-rate", "must be more than 0, or off"),
		"--drain-rate fast":                               invalid("fast", "drain-rate", "must be a number such as 5 or 0.5, or off"),
		"--drain-rate NaN":                                invalid("NaN", "drain-rate", "must be a number such as 5 or 0.5, or off"),
		"--drain-rate 5 --drain-timeout 0s":               "--drain-timeout: must be longer than 0s",
		"--drain-timeout 1m":                              "--drain-timeout: says nothing without --drain-rate",
		"--max-residual few":                              invalid("few", "max-residual", "must be a whole number"),
		"--min-available-memory 101":                      invalid("101", "min-available-memory", "must be a whole number from 0 to 100"),
		"--min-available-memory -1":                       invalid("-1", "min-available-memory", "must be a whole number from 0 to 100"),
		"--min-available-memory 5%":                       invalid("5%", "min-available-memory", "must be a whole number from 0 to 100"),
		"--hard-deadline 4h --deadline-for 22=2h --x":     "unknown flag: --x",
		"--deadline 5h --hard-deadline 4h --idle-after 0": "--hard-deadline (4h) is shorter than the deadline of 5h (--deadline)",
	} {
		t.Run(args, func(t *testing.T) {
			_, err := parse("reap --yes "+args, nil, nil)
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestABadPolicyInTheFileNamesItsLine(t *testing.T) {
	for file, want := range map[string]string{
		"HAPROXY_REAPER_DEADLINE_FOR=22=1h,22=2h":                          defaultConfigFile + ":1: port 22 has two deadlines",
		"HAPROXY_REAPER_DEADLINE_FOR=22=1h;443=2h":                         defaultConfigFile + `:1: HAPROXY_REAPER_DEADLINE_FOR: invalid value "22=1h;443=2h": deadline of port 22: must be a duration such as 0s, 30m, 2h or 1d`,
		"\nHAPROXY_REAPER_HARD_DEADLINE=1h\nHAPROXY_REAPER_DEADLINE=2h":    defaultConfigFile + ":2 (1h) is shorter than the deadline of 2h (" + defaultConfigFile + ":3)",
		"HAPROXY_REAPER_MIN_AVAILABLE_MEMORY=200\nHAPROXY_REAPER_DRY_RUN=": defaultConfigFile + `:1: HAPROXY_REAPER_MIN_AVAILABLE_MEMORY: invalid value "200": must be a whole number from 0 to 100`,
	} {
		_, err := parse("reap", nil, files{defaultConfigFile: file})
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", file, err, want)
		}
	}
}
