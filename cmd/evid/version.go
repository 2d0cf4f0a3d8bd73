package main

import (
	"fmt"
	"runtime"
)

type versionCmd struct{}

func (*versionCmd) Run(con *console) error {
	_, err := fmt.Fprintf(con.stdout, "evid %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
