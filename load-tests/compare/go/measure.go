package compare

import (
	"context"
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what one run of one workload came to.
type Result struct {
	// Operations that ended well; a frame counts for each operation in it.
	Operations int64   `json:"operations"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"perSecond"`
	// Of one call: a frame is one.
	P50Ms float64 `json:"p50Ms"`
	P99Ms float64 `json:"p99Ms"`
	MaxMs float64 `json:"maxMs"`
	// Calls that failed, and what the first of them said.
	Failed int64  `json:"failed"`
	Error  string `json:"error,omitempty"`
	// The least that one client did, as a share of what would be even. For workloads that compete.
	FairShare float64 `json:"fairShare,omitempty"`
}

// failuresMax ends a run that only fails.
const failuresMax = 1000

// Closed runs workers that each make one call after the other until the time is up. A call returns how many operations it did.
func Closed(ctx context.Context, workers int, length time.Duration, call func(ctx context.Context, worker int) (int, error)) Result {
	var (
		wait     sync.WaitGroup
		failed   atomic.Int64
		first    atomic.Pointer[string]
		done     = make([]int64, workers)
		took     = make([][]time.Duration, workers)
		began    = time.Now()
		deadline = began.Add(length)
	)
	for worker := range workers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for before := time.Now(); before.Before(deadline) && failed.Load() < failuresMax; {
				operations, err := call(ctx, worker)
				now := time.Now()
				if err == nil {
					done[worker] += int64(operations)
					took[worker] = append(took[worker], now.Sub(before))
				} else {
					said := err.Error()
					first.CompareAndSwap(nil, &said)
					failed.Add(1)
				}
				before = now
			}
		}()
	}
	wait.Wait()
	result := summary(done, took, time.Since(began))
	result.Failed = failed.Load()
	if said := first.Load(); said != nil {
		result.Error = *said
	}
	return result
}

func summary(done []int64, took [][]time.Duration, length time.Duration) Result {
	result := Result{Seconds: length.Seconds()}
	least := int64(math.MaxInt64)
	var all []time.Duration
	for worker, operations := range done {
		result.Operations += operations
		least = min(least, operations)
		all = append(all, took[worker]...)
	}
	result.PerSecond = float64(result.Operations) / result.Seconds
	if result.Operations > 0 {
		result.FairShare = float64(least) * float64(len(done)) / float64(result.Operations)
	}
	percentiles(&result, all)
	return result
}

func percentiles(result *Result, all []time.Duration) {
	if len(all) == 0 {
		return
	}
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(share float64) float64 {
		return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
	}
	result.P50Ms, result.P99Ms, result.MaxMs = at(0.5), at(0.99), at(1)
}
