package compare

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Plan says what a run does.
type Plan struct {
	// Clients that work at the same time, each on its own.
	Clients int
	Length  time.Duration
	// Rows of the key space, all of which exist before anything but Load runs.
	Keys int
	// What their keys begin with.
	Prefix     string
	ValueBytes int
	// Operations of a frame.
	Frame int
	// Of the watch workload.
	Watchers, EventsPerSecond int
}

// Workloads by name.
var Workloads = map[string]func(context.Context, Server, Plan) (Result, error){
	"load":             load,
	"put":              put,
	"get":              get(Linearizable),
	"get-session":      get(Session),
	"get-stale":        get(Eventual),
	"put-frames":       putFrames,
	"get-frames":       getFrames(Linearizable),
	"get-frames-stale": getFrames(Eventual),
	"mixed":            mixed,
	"swap":             swapOne,
	"watch":            watch,
	"scan":             scan,
	"first-get":        firstGet,
	"first-put":        firstPut,
}

func (plan Plan) key(number int) []byte { return fmt.Appendf(nil, "%s%012d", plan.Prefix, number) }

// value is bytes that do not compress.
func value(size int) []byte {
	bytes, random := make([]byte, (size+7)/8*8), rand.New(rand.NewPCG(1, 2))
	for at := 0; at < len(bytes); at += 8 {
		binary.LittleEndian.PutUint64(bytes[at:], random.Uint64())
	}
	return bytes[:size]
}

// sources give each worker random numbers of its own.
func sources(workers int) []*rand.Rand {
	all := make([]*rand.Rand, workers)
	for worker := range all {
		all[worker] = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(worker)))
	}
	return all
}

func frames(ctx context.Context, server Server, workers int) ([]Frames, error) {
	all := make([]Frames, workers)
	for worker := range all {
		one, err := server.Frames(ctx)
		if err != nil {
			return nil, err
		}
		all[worker] = one
	}
	return all, nil
}

// load writes every row once.
func load(ctx context.Context, server Server, plan Plan) (Result, error) {
	all, err := frames(ctx, server, plan.Clients)
	if err != nil {
		return Result{}, err
	}
	body := value(plan.ValueBytes)
	var next atomic.Int64
	var wait sync.WaitGroup
	failures := make(chan error, plan.Clients)
	began := time.Now()
	for _, door := range all {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for {
				from := int(next.Add(int64(plan.Frame))) - plan.Frame
				if from >= plan.Keys {
					return
				}
				keys := make([][]byte, 0, plan.Frame)
				for number := from; number < min(from+plan.Frame, plan.Keys); number++ {
					keys = append(keys, plan.key(number))
				}
				if err := door.Put(ctx, keys, body); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	wait.Wait()
	close(failures)
	length := time.Since(began).Seconds()
	return Result{Operations: int64(plan.Keys), Seconds: length, PerSecond: float64(plan.Keys) / length}, <-failures
}

func put(ctx context.Context, server Server, plan Plan) (Result, error) {
	random, body := sources(plan.Clients), value(plan.ValueBytes)
	return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
		return 1, server.Put(ctx, plan.key(random[worker].IntN(plan.Keys)), body)
	}), nil
}

func get(promise Promise) func(context.Context, Server, Plan) (Result, error) {
	return func(ctx context.Context, server Server, plan Plan) (Result, error) {
		// A session begins with a write.
		if promise == Session {
			if err := server.Put(ctx, plan.key(0), value(plan.ValueBytes)); err != nil {
				return Result{}, err
			}
		}
		random := sources(plan.Clients)
		return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
			return 1, server.Get(ctx, plan.key(random[worker].IntN(plan.Keys)), promise)
		}), nil
	}
}

// several keys of one frame, each once: a transaction of etcd takes a key once.
func several(random *rand.Rand, plan Plan) [][]byte {
	keys, from, step := make([][]byte, plan.Frame), random.IntN(plan.Keys), max(1, plan.Keys/plan.Frame)
	for i := range keys {
		keys[i] = plan.key((from + i*step) % plan.Keys)
	}
	return keys
}

func putFrames(ctx context.Context, server Server, plan Plan) (Result, error) {
	all, err := frames(ctx, server, plan.Clients)
	if err != nil {
		return Result{}, err
	}
	random, body := sources(plan.Clients), value(plan.ValueBytes)
	return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
		return plan.Frame, all[worker].Put(ctx, several(random[worker], plan), body)
	}), nil
}

func getFrames(promise Promise) func(context.Context, Server, Plan) (Result, error) {
	return func(ctx context.Context, server Server, plan Plan) (Result, error) {
		all, err := frames(ctx, server, plan.Clients)
		if err != nil {
			return Result{}, err
		}
		random := sources(plan.Clients)
		return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
			return plan.Frame, all[worker].Get(ctx, several(random[worker], plan), promise)
		}), nil
	}
}

// mixed is 95 reads to 5 writes, over keys of which few are asked for often (Zipf, 0.99).
func mixed(ctx context.Context, server Server, plan Plan) (Result, error) {
	random, body := sources(plan.Clients), value(plan.ValueBytes)
	ranks := newZipf(plan.Keys, 0.99)
	return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
		own := random[worker]
		one := plan.key(ranks.draw(own))
		if own.IntN(100) < 5 {
			return 1, server.Put(ctx, one, body)
		}
		return 1, server.Get(ctx, one, Linearizable)
	}), nil
}

// swapOne has all clients compete for one row; only swaps that were made count.
func swapOne(ctx context.Context, server Server, plan Plan) (Result, error) {
	hot, body := []byte("hot"), value(plan.ValueBytes)
	marks := make([]int64, plan.Clients)
	return Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, worker int) (int, error) {
		swapped, newer, err := server.Swap(ctx, hot, body, marks[worker])
		marks[worker] = newer
		if err != nil || !swapped {
			return 0, err
		}
		return 1, nil
	}), nil
}

func scan(ctx context.Context, server Server, plan Plan) (Result, error) {
	result := Closed(ctx, plan.Clients, plan.Length, func(ctx context.Context, _ int) (int, error) {
		rows, err := server.Scan(ctx, []byte(plan.Prefix))
		if err == nil && rows < plan.Keys {
			err = fmt.Errorf("%d of %d rows were read", rows, plan.Keys)
		}
		return rows, err
	})
	return result, nil
}

// firstGet and firstPut ask until the server answers well: what a start took is measured by who started it.
func firstGet(ctx context.Context, server Server, plan Plan) (Result, error) {
	return first(ctx, plan, func(ctx context.Context) error {
		return server.Get(ctx, plan.key(plan.Keys-1), Linearizable)
	})
}

func firstPut(ctx context.Context, server Server, plan Plan) (Result, error) {
	return first(ctx, plan, func(ctx context.Context) error {
		return server.Put(ctx, plan.key(plan.Keys-1), value(plan.ValueBytes))
	})
}

func first(ctx context.Context, plan Plan, call func(context.Context) error) (Result, error) {
	ctx, stop := context.WithTimeout(ctx, plan.Length)
	defer stop()
	for {
		// A call that was sent to a server that does not answer yet must not hold up the next one.
		one, end := context.WithTimeout(ctx, time.Second)
		err := call(one)
		end()
		if err == nil {
			return Result{Operations: 1}, nil
		}
		if ctx.Err() != nil {
			return Result{}, fmt.Errorf("no good answer in %s: %w", plan.Length, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

type announcer interface {
	Announce(ctx context.Context, prefix, key, value []byte) error
}

// watch counts deliveries: one writer at an even rate, many watchers. Latencies are from the write's beginning to a watcher.
func watch(ctx context.Context, server Server, plan Plan) (Result, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	under := []byte("news/")
	var ready, ended sync.WaitGroup
	failures := make(chan error, plan.Watchers)
	took := make([][]time.Duration, plan.Watchers)
	delivered := make([]atomic.Int64, plan.Watchers)
	for watcher := range plan.Watchers {
		ready.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			once := sync.OnceFunc(ready.Done)
			err := server.Watch(watching, under, once, func(value []byte) {
				written := time.Unix(0, int64(binary.LittleEndian.Uint64(value)))
				delivered[watcher].Add(1)
				took[watcher] = append(took[watcher], time.Since(written))
			})
			once()
			if watching.Err() == nil {
				failures <- err
			}
		}()
	}
	ready.Wait()
	body := value(max(8, plan.ValueBytes))
	write := server.Put
	if special, ok := server.(announcer); ok {
		write = func(ctx context.Context, key, value []byte) error { return special.Announce(ctx, under, key, value) }
	}
	written, began, err := pace(ctx, plan, func(number int) error {
		own := append([]byte(nil), body...)
		binary.LittleEndian.PutUint64(own, uint64(time.Now().UnixNano()))
		return write(ctx, fmt.Appendf(nil, "news/%06d", number%1000), own)
	})
	if err != nil {
		return Result{}, err
	}
	last := time.Now()
	done := make([]int64, plan.Watchers)
	for previous := int64(-1); ; {
		total := int64(0)
		for watcher := range delivered {
			done[watcher] = delivered[watcher].Load()
			total += done[watcher]
		}
		if total >= written*int64(plan.Watchers) || total == previous {
			break
		}
		previous, last = total, time.Now()
		time.Sleep(500 * time.Millisecond)
	}
	stop()
	ended.Wait()
	result := summary(done, took, last.Sub(began))
	if missing := written*int64(plan.Watchers) - result.Operations; missing > 0 {
		result.Failed, result.Error = missing, fmt.Sprintf("%d events were not delivered", missing)
	}
	select {
	case err = <-failures:
	default:
	}
	return result, err
}

// pace writes at an even rate, however long the writes before it take.
func pace(ctx context.Context, plan Plan, write func(number int) error) (int64, time.Time, error) {
	var wait sync.WaitGroup
	var failure atomic.Pointer[error]
	began := time.Now()
	count := int(plan.Length.Seconds() * float64(plan.EventsPerSecond))
	for number := range count {
		time.Sleep(time.Until(began.Add(time.Duration(number) * time.Second / time.Duration(plan.EventsPerSecond))))
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := write(number); err != nil && !errors.Is(err, context.Canceled) {
				failure.CompareAndSwap(nil, &err)
			}
		}()
	}
	wait.Wait()
	if failed := failure.Load(); failed != nil {
		return 0, began, *failed
	}
	return int64(count), began, ctx.Err()
}
