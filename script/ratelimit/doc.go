// Package ratelimit says whether one more call is within a limit: module ratelimit.
//
// A [Limiter] has pipes, each a counter with a name, a limit and an algorithm. A pipe begins
// with the first check of its name and ends when it has not been checked for
// Params.ExpireTime; until then it keeps its algorithm, while its limit is that of the last
// check. Every check counts, also one that does not pass: a script that wants to count only
// what passes takes the others back with [Limiter.Decrement].
//
// Time runs by the monotonic clock, from [New] on. It is cut into intervals for [TailDrop]
// and into slots for [SBT], the same for all pipes.
//
//   - [TailDrop]: in each interval of Params.TimerInterval the first ones pass, as many as
//     the limit (limits are per second, so that is the limit times the seconds, unless
//     Params.LimitPerInterval). So at most twice as many pass within any time that is as
//     long as an interval: at the end of one and the beginning of the next.
//   - [SBT]: a check passes if no more than the limit were counted in the present slot and
//     those before it, together Params.WindowSize. So at most the limit pass within any
//     time that is one slot shorter than the window. While more come than the limit, none
//     pass: those that do not pass count, too.
//
// What [Limiter.Decrement] and [Limiter.Reset] take back can pass again. Checks can be made
// at the same time, and no more of them pass for that. There is no goroutine: what time
// changes is made up for with the next call.
package ratelimit
