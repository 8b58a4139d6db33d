package agent

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"
)

// The types of flag values. Type is the placeholder that --help prints; Set is
// where a value is refused, so that one given by flag, variable or file is
// refused in the same words.

// switchValue is true or false. pflag takes the type "bool" for a flag that
// needs no value.
type switchValue bool

func (v *switchValue) Type() string   { return "bool" }
func (v *switchValue) String() string { return strconv.FormatBool(bool(*v)) }

func (v *switchValue) Set(s string) error {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return errors.New("must be true or false")
	}
	*v = switchValue(b)
	return nil
}

// durationValue is a duration as Prometheus writes it: 0s, 30m, 2h, 1d.
type durationValue time.Duration

func (v *durationValue) Type() string   { return "DURATION" }
func (v *durationValue) String() string { return model.Duration(*v).String() }

func (v *durationValue) Set(s string) error {
	if strings.HasPrefix(s, "-") {
		return errors.New("must not be negative")
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return errors.New("must be a duration such as 0s, 30m, 2h or 1d")
	}
	*v = durationValue(d)
	return nil
}

// countValue is a number from 0.
type countValue int

func (v *countValue) Type() string   { return "COUNT" }
func (v *countValue) String() string { return strconv.Itoa(int(*v)) }

func (v *countValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case err != nil:
		return errors.New("must be a whole number")
	case n < 0:
		return errors.New("must not be negative")
	}
	*v = countValue(n)
	return nil
}

// choiceValue is one word of a few.
type choiceValue struct {
	value   *string
	choices []string
}

func (v choiceValue) Type() string   { return strings.Join(v.choices, "|") }
func (v choiceValue) String() string { return *v.value }

func (v choiceValue) Set(s string) error {
	if !slices.Contains(v.choices, s) {
		return fmt.Errorf("must be one of %s", strings.Join(v.choices, ", "))
	}
	*v.value = s
	return nil
}

// textValue is a string that check accepts.
type textValue struct {
	value *string
	kind  string
	check func(string) error
}

func (v textValue) Type() string   { return v.kind }
func (v textValue) String() string { return *v.value }

func (v textValue) Set(s string) error {
	if err := v.check(s); err != nil {
		return err
	}
	*v.value = s
	return nil
}

// listValue is a flag that may be repeated; in a variable or the configuration
// file its values are separated by commas. Whoever sets it first takes the
// place of the default, and of what the file or a variable said.
type listValue struct {
	values   *[]string
	kind     string
	check    func(string) error
	repeated bool
}

func (v *listValue) Type() string   { return v.kind }
func (v *listValue) String() string { return strings.Join(*v.values, ",") }

func (v *listValue) Set(s string) error {
	if err := v.check(s); err != nil {
		return err
	}
	if !v.repeated {
		*v.values, v.repeated = nil, true
	}
	*v.values = append(*v.values, s)
	return nil
}

// setAll takes the whole list from one string.
func (v *listValue) setAll(s string) error {
	var values []string
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if err := v.check(item); err != nil {
			return err
		}
		values = append(values, item)
	}
	*v.values = values
	return nil
}

// setWhole sets a value that stands in one string, a list included.
func setWhole(v pflag.Value, s string) error {
	if list, ok := v.(*listValue); ok {
		return list.setAll(s)
	}
	return v.Set(s)
}

func notEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

// textfilePath accepts what node_exporter's textfile collector reads, and ""
// for none.
func textfilePath(s string) error {
	if s != "" && filepath.Ext(s) != ".prom" {
		return errors.New("must end in .prom")
	}
	return nil
}

// executable accepts a base name or an absolute path.
func executable(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case strings.Contains(s, "/") && !filepath.IsAbs(s), strings.HasSuffix(s, "/"):
		return errors.New("must be a base name or an absolute path")
	}
	return nil
}

// optionalValue is a duration that turns something on, or off.
type optionalValue struct {
	after time.Duration
	on    bool
}

func (v *optionalValue) Type() string { return "DURATION" }

func (v *optionalValue) String() string {
	if !v.on {
		return "off"
	}
	return model.Duration(v.after).String()
}

func (v *optionalValue) Set(s string) error {
	var d durationValue
	if s != "off" {
		if err := d.Set(s); err != nil {
			return fmt.Errorf("%w, or off", err)
		}
	}
	*v = optionalValue{time.Duration(d), s != "off"}
	return nil
}

// percentValue is a whole number of percent.
type percentValue int

func (v *percentValue) Type() string   { return "PERCENT" }
func (v *percentValue) String() string { return strconv.Itoa(int(*v)) }

func (v *percentValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 100 {
		return errors.New("must be a whole number from 0 to 100")
	}
	*v = percentValue(n)
	return nil
}
