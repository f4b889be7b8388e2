package main

import (
	"math/big"

	"github.com/anishathalye/porcupine"
)

// A register with a version, for a few keys that transactions tie together: put, delete, compare-and-set, increment, transactions, reads.
// Versions are opaque: nothing here knows of a log, offsets or partitions. What is not known is left open:
//   - a write that was never answered takes place at any time after its call, or (the same) after everything else;
//   - its version is a sign of its own (negative), until a read or a condition tells it;
//   - a row with a time to live may be gone before any step.

type register struct {
	present bool
	value   string
	// At least 0: told by somebody. Negative: the sign of an operation whose answer nobody had.
	version   int64
	mayExpire bool
}

type state []register

type compare struct {
	Key      int     `json:"key"`
	Operator string  `json:"operator"`
	Version  *int64  `json:"version"`
	Value    *string `json:"value"`
}

type change struct {
	Kind      string `json:"kind"`
	Key       int    `json:"key"`
	Value     string `json:"value"`
	MayExpire bool   `json:"mayExpire"`
}

type row struct {
	Value   string `json:"value"`
	Version int64  `json:"version"`
}

type input struct {
	Sign int64 `json:"sign"`
	// get, write, txn
	Kind      string    `json:"kind"`
	Key       int       `json:"key"`
	Change    *change   `json:"change"`
	IfVersion *int64    `json:"ifVersion"`
	Compares  []compare `json:"compares"`
	Then      []change  `json:"then"`
	Else      []change  `json:"else"`
}

type output struct {
	// False: it took place, and nobody was told what became of it.
	Told      bool    `json:"told"`
	Row       *row    `json:"row"`
	Applied   bool    `json:"applied"`
	Reason    string  `json:"reason"`
	Version   *int64  `json:"version"`
	Number    *string `json:"number"`
	Succeeded *bool   `json:"succeeded"`
}

func modelOf(keys int) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{state(make([]register, keys))} },
		Step: func(before, asked, answered interface{}) []interface{} {
			in, out := asked.(input), answered.(output)
			var after []interface{}
			for _, from := range withExpiry(before.(state), touched(in)) {
				for _, to := range step(from, in, out) {
					after = append(after, to)
				}
			}
			return after
		},
		Equal: func(one, other interface{}) bool {
			a, b := one.(state), other.(state)
			for at := range a {
				if a[at] != b[at] {
					return false
				}
			}
			return true
		},
	}).ToModel()
}

func touched(in input) []int {
	if in.Kind != "txn" {
		return []int{in.Key}
	}
	var keys []int
	for _, one := range in.Compares {
		keys = append(keys, one.Key)
	}
	for _, one := range append(append([]change{}, in.Then...), in.Else...) {
		keys = append(keys, one.Key)
	}
	return keys
}

func (s state) with(key int, to register) state {
	after := append(state{}, s...)
	after[key] = to
	return after
}

// As it stands, and with each row gone that may be.
func withExpiry(from state, keys []int) []state {
	states := []state{from}
	seen := map[int]bool{}
	for _, key := range keys {
		if seen[key] || !from[key].present || !from[key].mayExpire {
			continue
		}
		seen[key] = true
		for _, one := range states[:len(states):len(states)] {
			states = append(states, one.with(key, register{}))
		}
	}
	return states
}

func step(from state, in input, out output) []state {
	switch in.Kind {
	case "get":
		return read(from, in.Key, out.Row)
	case "write":
		return write(from, in, out)
	default:
		return transact(from, in, out)
	}
}

// The register where its version is this; undefined where it cannot be.
func bound(one register, version int64) (register, bool) {
	if !one.present || (one.version >= 0 && one.version != version) {
		return one, false
	}
	one.version = version
	return one, true
}

func read(from state, key int, found *row) []state {
	if found == nil {
		if from[key].present {
			return nil
		}
		return []state{from}
	}
	one, fits := bound(from[key], found.Version)
	if !fits || one.value != found.Value {
		return nil
	}
	return []state{from.with(key, one)}
}

func write(from state, in input, out output) []state {
	var after []state
	for _, one := range condition(from, in) {
		if !one.holds {
			if out.Told && (out.Applied || out.Reason != "VERSION_MISMATCH") {
				continue
			}
			after = append(after, mismatch(one.state, in.Key, out)...)
			continue
		}
		to, number, reason := changed(one.state, *in.Change, in, out)
		switch {
		case !out.Told:
			after = append(after, to)
		case reason != "":
			if !out.Applied && out.Reason == reason {
				after = append(after, one.state)
			}
		case out.Applied:
			if out.Number == nil || *out.Number == number {
				after = append(after, to)
			}
		case out.Reason != "VERSION_MISMATCH" && out.Reason != "NOT_A_NUMBER" && out.Reason != "NUMBER_OVERFLOW":
			// Refused for what has nothing to do with the row.
			after = append(after, one.state)
		}
	}
	return after
}

type outcome struct {
	state state
	holds bool
}

func condition(from state, in input) []outcome {
	if in.IfVersion == nil {
		return []outcome{{from, true}}
	}
	one, wanted := from[in.Key], *in.IfVersion
	if wanted == 0 || !one.present {
		return []outcome{{from, wanted == 0 && !one.present}}
	}
	if one.version >= 0 {
		return []outcome{{from, one.version == wanted}}
	}
	one.version = wanted
	return []outcome{{from, false}, {from.with(in.Key, one), true}}
}

// A condition that failed tells the version that it found.
func mismatch(from state, key int, out output) []state {
	if !out.Told {
		return []state{from}
	}
	if out.Version == nil {
		if from[key].present {
			return nil
		}
		return []state{from}
	}
	one, fits := bound(from[key], *out.Version)
	if !fits {
		return nil
	}
	return []state{from.with(key, one)}
}

// The state afterwards, the number, and why it is impossible.
func changed(from state, do change, in input, out output) (state, string, string) {
	version := in.Sign
	if out.Told && out.Version != nil {
		version = *out.Version
	}
	switch do.Kind {
	case "put":
		return from.with(do.Key, register{true, do.Value, version, do.MayExpire}), "", ""
	case "delete":
		return from.with(do.Key, register{}), "", ""
	default:
		number, reason := sum(from[do.Key], do.Value)
		if reason != "" {
			return from, "", reason
		}
		mayExpire := do.MayExpire || from[do.Key].mayExpire
		return from.with(do.Key, register{true, number, version, mayExpire}), number, ""
	}
}

func sum(before register, delta string) (string, string) {
	total, fits := new(big.Int), true
	if before.present {
		total, fits = total.SetString(before.value, 10)
		// Only what the sum itself would write: no sign, zero or space too many.
		if !fits || total.String() != before.value || !total.IsInt64() {
			return "", "NOT_A_NUMBER"
		}
	}
	add, isNumber := new(big.Int).SetString(delta, 10)
	if !isNumber {
		return "", "NOT_A_NUMBER"
	}
	total.Add(total, add)
	if !total.IsInt64() {
		return "", "NUMBER_OVERFLOW"
	}
	return total.String(), ""
}

func transact(from state, in input, out output) []state {
	if out.Told && !out.Applied && out.Reason != "NOT_A_NUMBER" && out.Reason != "NUMBER_OVERFLOW" {
		return []state{from}
	}
	outcomes := []outcome{{from, true}}
	for _, one := range in.Compares {
		var next []outcome
		for _, so := range outcomes {
			for _, to := range compared(so.state, one) {
				next = append(next, outcome{to.state, so.holds && to.holds})
			}
		}
		outcomes = next
	}
	var after []state
	for _, so := range outcomes {
		if out.Told && out.Applied && out.Succeeded != nil && *out.Succeeded != so.holds {
			continue
		}
		branch := in.Then
		if !so.holds {
			branch = in.Else
		}
		to, impossible := so.state, ""
		for _, one := range branch {
			next, _, reason := changed(to, one, in, out)
			if reason != "" && impossible == "" {
				impossible = reason
			}
			to = next
		}
		if impossible != "" {
			to = so.state
			if out.Told && (out.Applied || out.Reason != impossible) {
				continue
			}
		} else if out.Told && !out.Applied {
			continue
		}
		after = append(after, to)
	}
	return after
}

func compared(from state, with compare) []outcome {
	one := from[with.Key]
	if with.Value != nil {
		if !one.present {
			return []outcome{{from, with.Operator == "not-equal"}}
		}
		return []outcome{{from, holds(with.Operator, one.value == *with.Value, one.value > *with.Value)}}
	}
	wanted := *with.Version
	if !one.present {
		return []outcome{{from, holds(with.Operator, wanted == 0, false)}}
	}
	if one.version >= 0 {
		// A row that stands is newer than a missing one, also where its version is 0.
		isMissing := wanted == 0
		return []outcome{{from, holds(with.Operator, one.version == wanted && !isMissing, one.version > wanted || isMissing)}}
	}
	if with.Operator == "equal" && wanted != 0 {
		one.version = wanted
		return []outcome{{from, false}, {from.with(with.Key, one), true}}
	}
	return []outcome{{from, false}, {from, true}}
}

func holds(operator string, equal, greater bool) bool {
	switch operator {
	case "equal":
		return equal
	case "not-equal":
		return !equal
	case "greater":
		return greater
	default:
		return !equal && !greater
	}
}
