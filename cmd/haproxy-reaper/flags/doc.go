// Package flags reads the settings of a run: the command line, the environment
// and the configuration file, each laid over the defaults. It has the table of all
// flags, of which --help, the manual and the completions are made.
//
// The package does not know what a command does. It knows by name which flags a
// command refuses.
package flags
