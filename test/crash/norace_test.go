//go:build !race

package crash_test

// buildFlags build evid as the tests are built.
var buildFlags []string
