package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReplaceFileSweepsWhatAKilledRunLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	victim := filepath.Join(t.TempDir(), "victim")
	old := time.Now().Add(-2 * strayAge)
	for name, at := range map[string]time.Time{
		".state.json123":   old,        // a killed run's: goes
		".state.json456":   time.Now(), // perhaps one that is being written
		".state.jsonabc":   old,        // somebody else's
		".state.json":      old,
		"state.json123":    old,
		".other.json98765": old,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, ".state.json789")); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	leftOver(t, dir, ".other.json98765", ".state.json", ".state.json456", ".state.json789", ".state.jsonabc", "state.json", "state.json123")
}

// A run by hand is root's; the timer's may be another user's, in whose
// directory root then leaves no file that is not that user's.
func TestWhatRootWritesBelongsToTheOwnerOfTheDirectory(t *testing.T) {
	const owner = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, owner, owner); err != nil {
		t.Fatal("this test needs root: ", err)
	}
	if _, err := Update(dir, thisBoot, passTime, bootAge, func(*State) {}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.json", "lock"} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Uid != owner || st.Gid != owner || st.Mode&0o777 != 0o600 {
			t.Errorf("%s belongs to %d:%d with mode %o", name, st.Uid, st.Gid, st.Mode&0o777)
		}
	}
	// A file that is there already may be a link to somebody else's.
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.Link(victim, filepath.Join(other, "lock")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(other, owner, owner); err != nil {
		t.Fatal(err)
	}
	if _, err := Update(other, thisBoot, passTime, bootAge, func(*State) {}); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(victim, &st); err != nil || st.Uid != 0 {
		t.Errorf("a file behind a hard link belongs to %d: %v", st.Uid, err)
	}
}
