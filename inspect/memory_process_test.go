package inspect

import "testing"

func TestKilobytesAreAddedUpInBytes(t *testing.T) {
	const rollup = "5581 r--p\nRss:   9 kB\nPrivate_Clean:         3 kB\nPss: 1 kB\nPrivate_Dirty:         4 kB\nSwap: 5 kB\n"
	for _, c := range []struct {
		name, text string
		fields     []string
		want       uint64
		fails      bool
	}{
		{"two lines among others", rollup, []string{"Private_Clean:", "Private_Dirty:"}, 7 << 10, false},
		{"the last line", rollup, []string{"Swap:"}, 5 << 10, false},
		{"a field twice: the first counts", rollup + "Swap: 50 kB\n", []string{"Swap:"}, 5 << 10, false},
		{"a field that is not there", rollup, []string{"Private_Clean:", "Private_Hugetlb:"}, 0, true},
		{"a field that is no number", "Swap: many kB\n", []string{"Swap:"}, 0, true},
		{"more than any memory", "Swap: 18014398509481984 kB\n", []string{"Swap:"}, 0, true},
		{"nothing", "", []string{"Swap:"}, 0, true},
	} {
		got, err := parseKilobytes([]byte(c.text), c.fields...)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: got %d, %v, want %d", c.name, got, err, c.want)
		}
	}
}
