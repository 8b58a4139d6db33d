package judge

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// of is a member that runs as a user.
func of(uid uint32, k kind) Member {
	return Member{&inspect.Process{UID: uid}, k, nil}
}

// An instance belongs to the user of its master, or else of its youngest ready worker,
// whoever owns its older processes. Processes of no instance are a stranger's where all
// of them are.
func TestWhoseAGroupIs(t *testing.T) {
	t.Parallel()
	const own, alsoOwn, stranger, other = 102, 103, 5001, 5002
	master := of(0, kindMaster)
	for _, row := range []struct {
		name  string
		group Group
		want  Owner
	}{
		{"an instance with a master", Group{Model: ModelMasterWorker, Master: master.Process, Members: []Member{of(own, kindWorker), master, of(own, kindWorker)}}, Owner{}},
		{"a lineage: its youngest worker's", Group{Model: ModelDaemon, Members: []Member{of(own, kindWorker), of(stranger, kindWorker), of(own, kindStarting)}}, Owner{stranger, true}},
		{"one without a ready worker: its oldest process's", Group{Model: ModelDaemon, Members: []Member{of(alsoOwn, kindStarting), of(own, kindStray)}}, Owner{UID: alsoOwn}},
		{"no instance, of strangers: the first one's", Group{Members: []Member{of(stranger, kindWorker), of(other, kindWorker)}}, Owner{stranger, true}},
		{"no instance, of which not all are strangers': the first other's", Group{Members: []Member{of(stranger, kindWorker), of(own, kindWorker), of(alsoOwn, kindWorker)}}, Owner{UID: own}},
	} {
		l := &Look{MaySignal: func(uid uint32) bool { return uid == own || uid == alsoOwn }}
		if got := l.ownerOf(&row.group); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

// Root is no stranger, even to an agent that may not signal root's processes.
func TestRootIsNoStranger(t *testing.T) {
	t.Parallel()
	nobodys := &Look{MaySignal: func(uint32) bool { return false }}
	for uid, want := range map[uint32]bool{0: false, 5001: true} {
		if got := nobodys.owner(&inspect.Process{UID: uid}).Stranger; got != want {
			t.Errorf("user %d is a stranger: %t, want %t", uid, got, want)
		}
	}
}

// What is kept comes by the standing of its owner. Of one standing no user has a third
// place before every user has two.
func TestWhatIsKeptFirst(t *testing.T) {
	t.Parallel()
	owners := map[byte]*Owner{'r': {}, 'a': {UID: 102}, 'b': {UID: 103}, 's': {UID: 5001, Stranger: true}, 'u': {UID: 5002, Stranger: true}, '-': nil}
	owner := func(name string) *Owner { return owners[name[0]] }
	list := []string{"-1", "u1", "s5", "s4", "s3", "s2", "s1", "b1", "a3", "a2", "a1", "r3", "r2", "r1"}
	want := []string{"r1", "r2", "r3", "a1", "a2", "b1", "a3", "s1", "s2", "u1", "s3", "s4", "s5", "-1"}
	if diff := cmp.Diff(want, ByOwner(list, 2, owner, strings.Compare)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
