package compare

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

type redisServer struct{ client *redis.Client }

func connectRedis(address string) (Server, error) {
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: 512, DisableIdentity: true})
	return redisServer{client}, client.Ping(context.Background()).Err()
}

func (s redisServer) Put(ctx context.Context, key, value []byte) error {
	return s.client.Set(ctx, string(key), value, 0).Err()
}

func (s redisServer) Get(ctx context.Context, key []byte, _ Promise) error {
	return s.client.Get(ctx, string(key)).Err()
}

// redisFrames are pipelines, each on a connection of its own.
type redisFrames struct{ connection *redis.Conn }

func (s redisServer) Frames(context.Context) (Frames, error) {
	return redisFrames{s.client.Conn()}, nil
}

func (f redisFrames) Put(ctx context.Context, keys [][]byte, value []byte) error {
	_, err := f.connection.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range keys {
			pipe.Set(ctx, string(key), value, 0)
		}
		return nil
	})
	return err
}

func (f redisFrames) Get(ctx context.Context, keys [][]byte, _ Promise) error {
	_, err := f.connection.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, key := range keys {
			pipe.Get(ctx, string(key))
		}
		return nil
	})
	return err
}

// swap keeps the mark in the row: Redis has no versions of its own.
var swap = redis.NewScript(`
local mark = tonumber(redis.call('HGET', KEYS[1], 'mark') or '0')
if mark ~= tonumber(ARGV[1]) then return {0, mark} end
redis.call('HSET', KEYS[1], 'mark', mark + 1, 'value', ARGV[2])
return {1, mark + 1}`)

func (s redisServer) Swap(ctx context.Context, key, value []byte, mark int64) (bool, int64, error) {
	answer, err := swap.Run(ctx, s.client, []string{string(key) + ":swap"}, mark, value).Int64Slice()
	if err != nil {
		return false, mark, err
	}
	return answer[0] == 1, answer[1], nil
}

// Scan is SCAN and MGET, the way to read everything that does not stop the server.
func (s redisServer) Scan(ctx context.Context, prefix []byte) (int, error) {
	rows, cursor := 0, uint64(0)
	for {
		keys, next, err := s.client.Scan(ctx, cursor, string(prefix)+"*", 1000).Result()
		if err != nil {
			return rows, err
		}
		if len(keys) > 0 {
			values, err := s.client.MGet(ctx, keys...).Result()
			if err != nil {
				return rows, err
			}
			rows += len(values)
		}
		if next == 0 {
			return rows, nil
		}
		cursor = next
	}
}

// Watch listens to a channel of the prefix's name; writers publish there (see Announce).
func (s redisServer) Watch(ctx context.Context, prefix []byte, ready func(), deliver func([]byte)) error {
	subscription := s.client.Subscribe(ctx, string(prefix))
	defer func() { _ = subscription.Close() }()
	if _, err := subscription.Receive(ctx); err != nil {
		return err
	}
	ready()
	messages := subscription.Channel(redis.WithChannelSize(10_000))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case message, open := <-messages:
			if !open {
				return errors.New("the subscription ended")
			}
			deliver([]byte(message.Payload))
		}
	}
}

// Announce writes a row and tells the watchers of the prefix.
func (s redisServer) Announce(ctx context.Context, prefix, key, value []byte) error {
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Set(ctx, string(key), value, 0)
		pipe.Publish(ctx, string(prefix), value)
		return nil
	})
	return err
}

func (s redisServer) Close() { _ = s.client.Close() }
