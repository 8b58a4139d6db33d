package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
)

const module = "github.com/haproxy-reaper/haproxy-reaper"

// sourceTree is the product's code with its types. Left out are tests, scripts,
// and packages of deploy that import testing, since they serve tests alone.
func sourceTree(t *testing.T) []*packages.Package {
	t.Helper()
	list, err := packages.Load(&packages.Config{
		Dir:  "../..",
		Mode: packages.NeedName | packages.NeedImports | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
	}, "./cmd/...", "./deploy/...", "./inspect/...", "./metrics/...", "./reaper/...")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
	}
	list = slices.DeleteFunc(list, func(p *packages.Package) bool {
		return p.Imports["testing"] != nil && strings.HasPrefix(p.PkgPath, module+"/deploy/")
	})
	if len(list) < 4 {
		t.Fatalf("%d packages: not the whole tree", len(list))
	}
	return list
}

// uses calls f for every use of something of another package: its full name,
// such as "os.FindProcess" or "(*os.Process).Kill", and the file it is used in.
func uses(p *packages.Package, f func(name, file string)) {
	for _, syntax := range p.Syntax {
		file := p.Fset.Position(syntax.Pos()).Filename
		ast.Inspect(syntax, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			object := p.TypesInfo.Uses[id]
			if object == nil || object.Pkg() == nil || object.Pkg() == p.Types {
				return true
			}
			name := object.Pkg().Path() + "." + object.Name()
			if method, ok := object.(*types.Func); ok {
				name = method.FullName()
			}
			f(name, file)
			return true
		})
	}
}

// Signals go through pidfd_send_signal, in one place.
func TestNoCodePathSignalsABarePid(t *testing.T) {
	forbidden := []string{
		"os.FindProcess", "(*os.Process).Signal", "(*os.Process).Kill",
		"syscall.Kill", "syscall.Tgkill", "golang.org/x/sys/unix.Kill", "golang.org/x/sys/unix.Tgkill",
	}
	// A call by number could be any. These two files make some that have no
	// wrapper, and none of them is one of the numbers that signal.
	byNumber := []string{"Syscall", "Syscall6", "RawSyscall", "RawSyscall6", "SyscallNoError", "RawSyscallNoError", "AllThreadsSyscall", "AllThreadsSyscall6"}
	mayCallByNumber := []string{"inspect/kernel_linux.go", "inspect/socket_address.go"}
	signalNumbers := []string{"SYS_KILL", "SYS_TKILL", "SYS_TGKILL", "SYS_RT_SIGQUEUEINFO", "SYS_RT_TGSIGQUEUEINFO", "SYS_PIDFD_SEND_SIGNAL"}
	isCall := func(name string, of []string) bool {
		for _, pkg := range []string{"syscall.", "golang.org/x/sys/unix."} {
			if call, found := strings.CutPrefix(name, pkg); found && slices.Contains(of, call) {
				return true
			}
		}
		return false
	}
	found := 0
	for _, p := range sourceTree(t) {
		uses(p, func(name, file string) {
			file = strings.TrimPrefix(file, filepath.Dir(filepath.Dir(mustGetwd(t)))+"/")
			switch {
			case slices.Contains(forbidden, name), isCall(name, signalNumbers),
				isCall(name, byNumber) && !slices.Contains(mayCallByNumber, file):
				t.Errorf("%s: %s", file, name)
			case strings.HasPrefix(name, "github.com/shirou/gopsutil") && name != "github.com/shirou/gopsutil/v3/process.PidsWithContext" &&
				!strings.HasPrefix(name, "github.com/shirou/gopsutil/v3/common."):
				t.Errorf("%s: %s: gopsutil lists pids and nothing else", file, name)
			case name == "golang.org/x/sys/unix.PidfdSendSignal":
				found++
				if file != "inspect/kernel_linux.go" {
					t.Errorf("%s: %s belongs to inspect/kernel_linux.go alone", file, name)
				}
			}
		})
	}
	if found != 1 {
		t.Errorf("PidfdSendSignal is used in %d places, want 1", found)
	}
}

// mayImport has each package of the product and those of the product that it may
// import, in the order of CONTRIBUTING's table: no package imports one below it.
var mayImport = []struct {
	name string
	may  []string
}{
	{"inspect", nil},
	{"inspect/fakehost", []string{"inspect"}}, // for tests
	{"reaper/judge", []string{"inspect"}},
	{"reaper/state", []string{"inspect", "reaper/judge"}},
	{"reaper", []string{"inspect", "reaper/judge"}},
	{"metrics", []string{"reaper/judge", "reaper/state"}},
	{"cmd/haproxy-reaper/text", []string{"inspect", "reaper/judge"}},
	{"cmd/haproxy-reaper/flags", []string{"metrics", "reaper/judge"}},
	{"cmd/haproxy-reaper/check", []string{"inspect", "reaper/judge", "cmd/haproxy-reaper/text"}},
	{"cmd/haproxy-reaper/serve", []string{"metrics", "reaper/judge", "reaper/state", "cmd/haproxy-reaper/text"}},
	{"cmd/haproxy-reaper/agent", []string{"inspect", "metrics", "reaper", "reaper/judge", "reaper/state",
		"cmd/haproxy-reaper/check", "cmd/haproxy-reaper/flags", "cmd/haproxy-reaper/serve", "cmd/haproxy-reaper/text"}},
	{"cmd/haproxy-reaper", []string{"inspect", "cmd/haproxy-reaper/agent"}},
	{"cmd/haproxy-reaper/fixture", []string{"inspect", "reaper/judge"}}, // for tests
	{"cmd/haproxy-reaper/e2e", nil},                                     // has tests alone
	{"deploy/grafana", nil},                                             // reads its own file, for tests
}

// A package imports what it may, and CONTRIBUTING says what it imports.
func TestImportsRunOneWayAndCONTRIBUTINGTellsThem(t *testing.T) {
	imports := map[string][]string{}
	for _, p := range sourceTree(t) {
		if len(p.GoFiles) == 0 { // a folder of tests
			continue
		}
		name := strings.TrimPrefix(p.PkgPath, module+"/")
		imports[name] = []string{}
		for path := range p.Imports {
			if other, ours := strings.CutPrefix(path, module+"/"); ours {
				imports[name] = append(imports[name], other)
			}
		}
	}
	var table strings.Builder
	table.WriteString("| package | imports of this module |\n|---|---|\n")
	var above []string
	for _, row := range mayImport {
		list, exists := imports[row.name]
		if !exists {
			t.Errorf("there is no package %s", row.name)
		}
		delete(imports, row.name)
		var cells []string
		slices.SortFunc(list, func(a, b string) int { return slices.Index(above, a) - slices.Index(above, b) })
		for _, other := range list {
			cells = append(cells, "`"+other+"`")
			if !slices.Contains(row.may, other) || !slices.Contains(above, other) {
				t.Errorf("%s imports %s", row.name, other)
			}
		}
		fmt.Fprintf(&table, "| `%s` | %s |\n", row.name, cmp.Or(strings.Join(cells, ", "), "-"))
		above = append(above, row.name)
	}
	for name := range imports {
		t.Errorf("package %s is not in the table", name)
	}

	const path, begin, end = "../../CONTRIBUTING.md", "<!-- imports -->\n", "<!-- /imports -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table of imports", path)
	}
	fixture.Golden(t, path, before+begin+table.String()+end+after)
}

// A local variable that bears the name of a function of its package hides that
// function, and a reader takes one for the other.
func TestNoLocalVariableBearsTheNameOfAFunctionOfItsPackage(t *testing.T) {
	for _, p := range sourceTree(t) {
		for id, object := range p.TypesInfo.Defs {
			v, isVariable := object.(*types.Var)
			if !isVariable || v.IsField() || v.Parent() == p.Types.Scope() {
				continue
			}
			if _, isFunction := p.Types.Scope().Lookup(id.Name).(*types.Func); isFunction {
				t.Errorf("%s: %s", p.Fset.Position(id.Pos()), id.Name)
			}
		}
	}
}

// What is decided depends on what was seen and on the policy: no clock, no
// operating system, no log, nothing random.
func TestDecisionIsPure(t *testing.T) {
	impure := []string{"os", "log", "log/slog", "context", "syscall", "golang.org/x/sys/unix", "math/rand", "math/rand/v2", "sync", "net"}
	clocks := []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker"}
	seen := false
	for _, p := range sourceTree(t) {
		if p.PkgPath != module+"/reaper/judge" {
			continue
		}
		seen = true
		for path := range p.Imports {
			if slices.Contains(impure, path) {
				t.Errorf("the decision imports %s", path)
			}
		}
		uses(p, func(name, file string) {
			if slices.Contains(clocks, name) || strings.Contains(name, "/inspect.Host)") || strings.Contains(name, "/inspect.Kernel)") {
				t.Errorf("%s uses %s", filepath.Base(file), name)
			}
		})
	}
	if !seen {
		t.Error("there is no package of the decision")
	}
}

// The table of situations names tests, and a reader will look for them.
func TestEverySituationNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("situations.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "../../inspect/*_test.go", "../../reaper/*_test.go", "../../reaper/*/*_test.go", "../../deploy/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(source)
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, fmt.Sprintf("| %d | ", rows+1)) {
			continue
		}
		rows++
		names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.Contains(line, "**no test**") {
			t.Errorf("row %d names no test and does not say why", rows)
		}
		for _, name := range names {
			if !strings.Contains(sources.String(), "func "+name[1]+"(t *testing.T)") {
				t.Errorf("row %d: there is no %s", rows, name[1])
			}
		}
	}
	if rows != 68 {
		t.Errorf("%d rows, want 68", rows)
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
