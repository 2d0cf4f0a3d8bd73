package mi

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Info is what the core commands tell about the process.
type Info struct {
	Version  string    // of evid: "1.0.0"
	Revision string    // of its source; empty: unknown
	Started  time.Time // when the process started
	Args     []string  // of its command line, with the program
	LogLevel LogLevel
}

// A LogLevel is where log_level reads and sets the level of the log, counted as
// OpenSIPS does: -3 alerts, -2 critical, -1 errors, 1 warnings, 2 notices, 3
// information, 4 debugging; each with those before it.
type LogLevel interface {
	Level() int
	SetLevel(level int) // from -3 to 4
}

const processType = "evid" // as ps and log_level name the only process

// CoreCommands returns the commands about the process.
func CoreCommands(info Info) []Command {
	c := core{info}
	return []Command{
		{
			Name: "version", Alias: "core:version",
			Help:   "says which version runs",
			Params: [][]string{{}, {"revision"}},
			Run:    c.version,
		},
		{
			Name: "uptime", Alias: "core:uptime",
			Help:   "says what time it is and since when the process runs",
			Params: [][]string{{}},
			Run:    c.uptime,
		},
		{
			Name: "ps", Alias: "core:ps",
			Help:   "lists the processes: there is one",
			Params: [][]string{{}},
			Run:    c.ps,
		},
		{
			Name: "pwd", Alias: "core:pwd",
			Help:   "says which is the working directory",
			Params: [][]string{{}},
			Run:    c.pwd,
		},
		{
			Name: "arg", Alias: "core:arg",
			Help:   "lists the arguments of the command line",
			Params: [][]string{{}},
			Run:    c.arg,
		},
		{
			Name: "log_level", Alias: "core:log_level",
			Help:   "says what the log level is or sets it, from -3 (alerts) to 4 (debugging)",
			Params: [][]string{{}, {"level"}, {"level", "pid"}},
			Run:    c.logLevel,
		},
	}
}

type core struct{ info Info }

// version looks like the version of OpenSIPS whose interface this is: clients
// search it for that.
func (c core) version(_ context.Context, a Args) (any, error) {
	reply := struct {
		Server string
		Git    string `json:"git,omitempty"`
	}{Server: fmt.Sprintf("OpenSIPS (4.1.0 evid %s (%s/%s))", c.info.Version, runtime.GOARCH, runtime.GOOS)}
	if a.Has("revision") { // any value asks for it
		reply.Git = c.info.Revision
	}
	return reply, nil
}

func (c core) uptime(context.Context, Args) (any, error) {
	return struct {
		Now     string
		UpSince string `json:"Up since"`
		UpTime  string `json:"Up time"`
	}{
		time.Now().Format(time.ANSIC),
		c.info.Started.Format(time.ANSIC),
		fmt.Sprintf("%d [sec]", int64(time.Since(c.info.Started).Seconds())),
	}, nil
}

func (c core) ps(context.Context, Args) (any, error) {
	type process struct {
		ID   int
		PID  int
		Type string
	}
	return struct{ Processes []process }{[]process{{0, os.Getpid(), processType}}}, nil
}

func (c core) pwd(context.Context, Args) (any, error) {
	dir, err := os.Getwd()
	return struct{ WD string }{dir}, err
}

func (c core) arg(context.Context, Args) (any, error) { return c.info.Args, nil }

func (c core) logLevel(_ context.Context, a Args) (any, error) {
	if !a.Has("level") {
		type process struct {
			PID   int
			Level int `json:"Log level"`
			Type  string
		}
		return struct{ Processes []process }{[]process{{os.Getpid(), c.info.LogLevel.Level(), processType}}}, nil
	}
	level, err := a.Int("level")
	if err != nil {
		return nil, err
	}
	if level < -3 || level > 4 {
		return nil, invalidParams(fmt.Sprintf("Bad log level %d: expected -3 to 4", level))
	}
	if a.Has("pid") {
		pid, err := a.Int("pid")
		if err != nil {
			return nil, err
		}
		if pid != os.Getpid() {
			return nil, invalidParams("Bad PID")
		}
		c.info.LogLevel.SetLevel(level)
		return struct {
			Level int `json:"Log level"`
		}{level}, nil
	}
	c.info.LogLevel.SetLevel(level)
	return struct {
		Level int `json:"New global log level"`
	}{level}, nil
}
