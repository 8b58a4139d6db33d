package flags

import (
	"slices"

	"github.com/spf13/pflag"
)

// Flag is a flag in the words of --help, the manual and the completions.
type Flag struct {
	Name, Short string // without dashes
	Help        string
	Kind        string   // placeholder of its value, "bool" for a switch
	Choices     []string // all values that it takes, where they are a few words
	Repeatable  bool
	Variable    string // in the environment and the configuration file
	Default     string // "" where it is unset
	OfServe     bool   // the other commands refuse it
}

// Table returns every flag, in the order of --help.
func Table() []Flag {
	var list []Flag
	new(Config).flagSet().VisitAll(func(f *pflag.Flag) {
		row := Flag{
			Name: f.Name, Short: f.Shorthand, Help: f.Usage, Kind: f.Value.Type(),
			Variable: variable(f.Name), Default: f.DefValue, OfServe: slices.Contains(serveFlags, f.Name),
		}
		if choice, ok := f.Value.(choiceValue); ok {
			row.Choices = choice.choices
		}
		_, row.Repeatable = f.Value.(repeatable)
		list = append(list, row)
	})
	return list
}
