package agent

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

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

// drainFlags are those that say how clients are taken leave of.
var drainFlags = []string{"drain-rate", "drain-timeout"}

// validateDrain refuses what would not do what its words say.
func (c *config) validateDrain() error {
	switch {
	case c.drainTimeout == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.source("drain-timeout"))
	case c.drainRate == 0 && c.onCommandLine("drain-timeout"):
		return errors.New("--drain-timeout: says nothing without --drain-rate")
	}
	return nil
}
