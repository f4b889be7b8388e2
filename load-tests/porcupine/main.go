// Searches, for each group of keys, an order of the operations that explains what clients saw: the algorithm of Wing and Gong as
// github.com/anishathalye/porcupine has it, over the model of model.go. It shares nothing with the checkers of streams/sim.
//
// Standard input: a line of JSON for each group. Standard output: a line for each group, in that order.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Entry  int64  `json:"entry"`
	Call   int64  `json:"call"`
	Return int64  `json:"return"`
	Input  input  `json:"input"`
	Output output `json:"output"`
}

type group struct {
	Keys       []string    `json:"keys"`
	Operations []operation `json:"operations"`
}

type verdict struct {
	Keys       []string `json:"keys"`
	Operations int      `json:"operations"`
	// ok, illegal, or unknown: the time was over first
	Result string `json:"result"`
	// Entries of the calls that the longest explanation leaves out.
	Left []int64 `json:"left"`
}

const bytesMax = 1 << 30

func main() {
	seconds := flag.Int("seconds", 20, "longest search of a group")
	flag.Parse()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), bytesMax)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var one group
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			fail(err)
		}
		if err := out.Encode(search(one, time.Duration(*seconds)*time.Second)); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func search(one group, most time.Duration) verdict {
	history := make([]porcupine.Operation, len(one.Operations))
	for at, op := range one.Operations {
		history[at] = porcupine.Operation{
			ClientId: at, Input: op.Input, Call: op.Call, Output: op.Output, Return: op.Return, Metadata: op.Entry,
		}
	}
	model := modelOf(len(one.Keys))
	found := verdict{Keys: one.Keys, Operations: len(history), Left: []int64{}}
	switch porcupine.CheckOperationsTimeout(model, history, most) {
	case porcupine.Ok:
		found.Result = "ok"
	case porcupine.Unknown:
		found.Result = "unknown"
	case porcupine.Illegal:
		found.Result = "illegal"
		_, info := porcupine.CheckOperationsVerbose(model, history, most)
		found.Left = left(history, info)
	}
	return found
}

// What is not in the longest order that explains a part.
func left(history []porcupine.Operation, info porcupine.LinearizationInfo) []int64 {
	var longest []porcupine.Operation
	for _, partition := range info.PartialLinearizationsOperations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	explained := map[int64]bool{}
	for _, op := range longest {
		explained[op.Metadata.(int64)] = true
	}
	entries := []int64{}
	for _, op := range history {
		if entry := op.Metadata.(int64); !explained[entry] && len(entries) < 10 {
			entries = append(entries, entry)
		}
	}
	return entries
}
