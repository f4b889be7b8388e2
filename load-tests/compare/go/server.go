// Package compare asks servers of several kinds for the same work, through the best door that each of them has.
package compare

import (
	"context"
	"fmt"
)

// Promise is how fresh a read must be.
type Promise int

const (
	// Linearizable: every write that was acknowledged before the read began is seen.
	Linearizable Promise = iota
	// Session: the caller's own writes are seen.
	Session
	// Eventual: some state that was.
	Eventual
)

// Server is one of the peers. Every method may be called by many goroutines at once.
type Server interface {
	Put(ctx context.Context, key, value []byte) error
	// Get reads with the promise, or with the only one that the server has. A missing row is an error.
	Get(ctx context.Context, key []byte, promise Promise) error
	// Frames is the door for many operations at once; one for each worker.
	Frames(ctx context.Context) (Frames, error)
	// Swap writes value if the row still is as the returned mark says, and says whether it did; a failed try returns the newer mark.
	Swap(ctx context.Context, key, value []byte, mark int64) (swapped bool, newer int64, err error)
	// Scan reads all rows of the prefix.
	Scan(ctx context.Context, prefix []byte) (rows int, err error)
	// Watch calls ready once, then deliver with each new value, until ctx ends.
	Watch(ctx context.Context, prefix []byte, ready func(), deliver func(value []byte)) error
	Close()
}

// Frames carries batches of operations for one worker.
type Frames interface {
	Put(ctx context.Context, keys [][]byte, value []byte) error
	Get(ctx context.Context, keys [][]byte, promise Promise) error
}

// Connect opens a client of the named kind.
func Connect(kind string, addresses []string, connections int) (Server, error) {
	switch kind {
	case "tidemark", "streams":
		return connectTidemark(addresses, connections)
	case "etcd":
		return connectEtcd(addresses, connections)
	case "redis":
		return connectRedis(addresses[0])
	default:
		return nil, fmt.Errorf("no server is called %q; there are tidemark, etcd, redis and streams", kind)
	}
}

// Unsupported says that a server has no such door.
type Unsupported struct{ What string }

func (e Unsupported) Error() string { return e.What + " is not there" }
