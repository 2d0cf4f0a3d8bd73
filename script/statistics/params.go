package statistics

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evid/evid/modparam"
)

// The groups that there always are.
const (
	groupScript  = "script"
	groupDynamic = "dynamic"
)

// Params are the parameters of module statistics.
type Params struct {
	Variables []Variable
	Groups    []string // beside "script" and "dynamic"
}

// A Variable is one that is there from the start.
type Variable struct {
	Name    string // "name", or "group:name"
	NoReset bool   // it cannot be reset
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "variable", Value: modparam.Func(modparam.Text, p.variables, p.addVariable),
			Usage: "a statistic that is there from the start; name/no_reset: it cannot be reset; can be given more than once",
		},
		{
			Name: "stat_groups", Value: modparam.Func(modparam.Text, p.groups, p.addGroups),
			Usage: "groups that statistics of the script can be in, with commas between; can be given more than once",
		},
	}
}

func (p *Params) variables() string {
	texts := make([]string, len(p.Variables))
	for i, v := range p.Variables {
		texts[i] = v.String()
	}
	return strings.Join(texts, " ")
}

// String is the variable as one writes it.
func (v Variable) String() string {
	if v.NoReset {
		return v.Name + "/no_reset"
	}
	return v.Name
}

func (p *Params) addVariable(text string) error {
	name, flag, flagged := strings.Cut(text, "/")
	noReset := strings.EqualFold(flag, "no_reset")
	if flagged && !noReset {
		return fmt.Errorf("expected no_reset after /, got %q", flag)
	}
	_, short := split(name)
	if err := checkName(short); err != nil {
		return err
	}
	p.Variables = append(p.Variables, Variable{name, noReset})
	return nil
}

func (p *Params) groups() string { return strings.Join(p.Groups, ",") }

func (p *Params) addGroups(text string) error {
	for group := range strings.SplitSeq(text, ",") {
		switch group = strings.TrimSpace(group); {
		case group == "" || group == groupScript || group == groupDynamic || slices.Contains(p.Groups, group):
		case len(group) > MaxName || strings.Contains(group, ":"):
			return fmt.Errorf("expected groups of 1 to %d bytes, without a colon, got %.100q", MaxName, group)
		case len(p.Groups) == maxGroups:
			return fmt.Errorf("expected at most %d groups", maxGroups)
		default:
			p.Groups = append(p.Groups, group)
		}
	}
	return nil
}

// split cuts the name of a variable into its group, empty if it names none, and the rest.
func split(name string) (group, short string) {
	if group, short, named := strings.Cut(name, ":"); named {
		return group, short
	}
	return "", name
}

func checkName(short string) error {
	if short == "" {
		return errors.New("the name of the statistic is empty")
	}
	if len(short) > MaxName {
		return fmt.Errorf("the name of the statistic has %d bytes, at most %d are possible", len(short), MaxName)
	}
	return nil
}
