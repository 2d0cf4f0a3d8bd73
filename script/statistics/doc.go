// Package statistics is the counters of a script: module statistics.
//
// A [Store] has variables in groups. Those of parameter variable are there from the start,
// in group "script" unless their names say another; all others begin with the first call
// that updates or resets them, in group "dynamic" unless the name says another. Groups
// beside these two come from parameter stat_groups. Where a name has no group, the variable
// of group script is meant if there is one, else that of group dynamic. Letters of another
// case are another name.
//
// Values are integers of 64 bits, with a sign, and wrap around. Variables stay until the
// process ends, and there are at most [MaxVariables]: whoever can make a script count under
// new names could take all memory else. Methods can be called at the same time.
package statistics
