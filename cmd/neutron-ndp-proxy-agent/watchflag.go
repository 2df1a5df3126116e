package main

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// Bounds of --watch.
const (
	watchDefault  = 2 * time.Second
	watchShortest = 100 * time.Millisecond
	watchLongest  = time.Hour
)

// watchFlag is --watch, which may stand alone.
type watchFlag struct{ every time.Duration }

// String implements flag.Value.
func (f *watchFlag) String() string {
	if f == nil || f.every == 0 {
		return ""
	}
	return strconv.FormatFloat(f.every.Seconds(), 'f', -1, 64)
}

// Set implements flag.Value.
func (f *watchFlag) Set(text string) error {
	switch text {
	case "true": // it stands alone
		f.every = watchDefault
		return nil
	case "false":
		f.every = 0
		return nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds < watchShortest.Seconds() || seconds > watchLongest.Seconds() {
		return errors.New("it is a number of seconds from 0.1 to 3600")
	}
	f.every = time.Duration(seconds * float64(time.Second))
	return nil
}

// IsBoolFlag makes --watch stand alone.
func (*watchFlag) IsBoolFlag() bool { return true }
