package flags

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"

	"github.com/haproxy-reaper/haproxy-reaper/metrics"
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
func (v *durationValue) String() string { return durationText(time.Duration(*v)) }

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
type listValue[T any] struct {
	values   *[]T
	kind     string
	parse    func(string) (T, error)
	repeated bool
}

// repeatable is a listValue of any kind.
type repeatable interface {
	all() []string
	setAll(string) error
}

func (v *listValue[T]) Type() string   { return v.kind }
func (v *listValue[T]) String() string { return strings.Join(v.all(), ",") }

func (v *listValue[T]) Set(s string) error {
	value, err := v.parse(s)
	if err != nil {
		return err
	}
	if !v.repeated {
		*v.values, v.repeated = nil, true
	}
	*v.values = append(*v.values, value)
	return nil
}

// all returns the values as they were written.
func (v *listValue[T]) all() []string {
	list := make([]string, len(*v.values))
	for i, value := range *v.values {
		list[i] = fmt.Sprint(value)
	}
	return list
}

// setAll takes the whole list from one string.
func (v *listValue[T]) setAll(s string) error {
	var values []T
	for item := range strings.SplitSeq(s, ",") {
		value, err := v.parse(strings.TrimSpace(item))
		if err != nil {
			return err
		}
		values = append(values, value)
	}
	*v.values = values
	return nil
}

// setWhole sets a value that stands in one string, a list included.
func setWhole(v pflag.Value, s string) error {
	if list, ok := v.(repeatable); ok {
		return list.setAll(s)
	}
	return v.Set(s)
}

// portDeadline is the deadline of the client connections of a local port.
type portDeadline struct {
	port  uint16
	after time.Duration
	text  string // as it was written, as in 22=24h
}

func (d portDeadline) String() string { return d.text }

// parsePortDeadline reads a port and its deadline, as in 22=24h.
func parsePortDeadline(s string) (portDeadline, error) {
	left, right, found := strings.Cut(s, "=")
	if !found {
		return portDeadline{}, errors.New("must be a port and its deadline, such as 22=24h")
	}
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil || n == 0 {
		return portDeadline{}, errors.New("must begin with a port from 1 to 65535")
	}
	var after durationValue
	if err := after.Set(right); err != nil {
		return portDeadline{}, fmt.Errorf("deadline of port %d: %w", n, err)
	}
	return portDeadline{port: uint16(n), after: time.Duration(after), text: s}, nil
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
	if s == "" {
		return nil
	}
	return metrics.CheckTextfile(s)
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
	return durationText(v.after)
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

// rateValue is a number a second, or off.
type rateValue float64

func (v *rateValue) Type() string { return "RATE" }

func (v *rateValue) String() string {
	if *v == 0 {
		return "off"
	}
	return strconv.FormatFloat(float64(*v), 'f', -1, 64)
}

func (v *rateValue) Set(s string) error {
	if s == "off" {
		*v = 0
		return nil
	}
	rate, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || math.IsNaN(rate) || math.IsInf(rate, 0):
		return errors.New("must be a number such as 5 or 0.5, or off")
	case rate <= 0:
		return errors.New("must be more than 0, or off")
	}
	*v = rateValue(rate)
	return nil
}

// durationText is a duration as Prometheus writes it.
func durationText(d time.Duration) string { return model.Duration(d).String() }
