package compare

import (
	"context"
	"fmt"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// scanPage is what etcdctl and Kubernetes ask for at a time, so that no answer is too large.
const scanPage = 10_000

type etcd struct {
	clients []*clientv3.Client
	next    atomic.Uint64
}

func connectEtcd(addresses []string, connections int) (Server, error) {
	server := &etcd{}
	for range connections {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:          addresses,
			Logger:             zap.NewNop(),
			MaxCallSendMsgSize: 64 << 20,
			MaxCallRecvMsgSize: 256 << 20,
		})
		if err != nil {
			return nil, err
		}
		server.clients = append(server.clients, client)
	}
	return server, nil
}

func (s *etcd) client() *clientv3.Client {
	return s.clients[s.next.Add(1)%uint64(len(s.clients))]
}

func (s *etcd) Put(ctx context.Context, key, value []byte) error {
	_, err := s.client().Put(ctx, string(key), string(value))
	return err
}

func (s *etcd) Get(ctx context.Context, key []byte, promise Promise) error {
	answer, err := s.client().Get(ctx, string(key), freshness(promise)...)
	if err == nil && len(answer.Kvs) != 1 {
		err = fmt.Errorf("%d rows of %s", len(answer.Kvs), key)
	}
	return err
}

func freshness(promise Promise) []clientv3.OpOption {
	if promise != Eventual {
		return nil
	}
	return []clientv3.OpOption{clientv3.WithSerializable()}
}

// etcdFrames are transactions: etcd's way to do much in one call, with 128 operations at most (its default).
type etcdFrames struct{ client *clientv3.Client }

func (s *etcd) Frames(context.Context) (Frames, error) { return etcdFrames{s.client()}, nil }

func (f etcdFrames) Put(ctx context.Context, keys [][]byte, value []byte) error {
	ops := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		ops[i] = clientv3.OpPut(string(key), string(value))
	}
	_, err := f.client.Txn(ctx).Then(ops...).Commit()
	return err
}

func (f etcdFrames) Get(ctx context.Context, keys [][]byte, promise Promise) error {
	ops := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		ops[i] = clientv3.OpGet(string(key), freshness(promise)...)
	}
	answer, err := f.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return err
	}
	for i, response := range answer.Responses {
		if len(response.GetResponseRange().Kvs) != 1 {
			return fmt.Errorf("%s is missing", keys[i])
		}
	}
	return nil
}

func (s *etcd) Swap(ctx context.Context, key, value []byte, mark int64) (bool, int64, error) {
	k := string(key)
	answer, err := s.client().Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(k), "=", mark)).
		Then(clientv3.OpPut(k, string(value))).
		Else(clientv3.OpGet(k)).
		Commit()
	if err != nil {
		return false, mark, err
	}
	if answer.Succeeded {
		return true, answer.Header.Revision, nil
	}
	return false, answer.Responses[0].GetResponseRange().Kvs[0].ModRevision, nil
}

func (s *etcd) Scan(ctx context.Context, prefix []byte) (int, error) {
	from, end, rows := string(prefix), clientv3.GetPrefixRangeEnd(string(prefix)), 0
	client := s.client()
	for {
		answer, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(scanPage))
		if err != nil {
			return rows, err
		}
		rows += len(answer.Kvs)
		if !answer.More {
			return rows, nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}

func (s *etcd) Watch(ctx context.Context, prefix []byte, ready func(), deliver func([]byte)) error {
	answers := s.client().Watch(ctx, string(prefix), clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	for answer := range answers {
		if answer.Created {
			ready()
		}
		for _, event := range answer.Events {
			deliver(event.Kv.Value)
		}
	}
	return ctx.Err()
}

func (s *etcd) Close() {
	for _, client := range s.clients {
		_ = client.Close()
	}
}
