package compare

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "tidemark.dev/compare/tidemarkpb"
)

type tidemark struct {
	connections []*grpc.ClientConn
	clients     []pb.KeyValueServiceClient
	next        atomic.Uint64
	// Of the last put: what reads with Session have seen.
	token atomic.Pointer[pb.Token]
}

func connectTidemark(addresses []string, connections int) (Server, error) {
	server := &tidemark{}
	for i := range max(connections, len(addresses)) {
		connection, err := grpc.NewClient(addresses[i%len(addresses)],
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(16<<20))
		if err != nil {
			return nil, err
		}
		server.connections = append(server.connections, connection)
		server.clients = append(server.clients, pb.NewKeyValueServiceClient(connection))
	}
	return server, nil
}

func (s *tidemark) client() pb.KeyValueServiceClient {
	return s.clients[s.next.Add(1)%uint64(len(s.clients))]
}

var consistencies = map[Promise]pb.Consistency{
	Linearizable: pb.Consistency_CONSISTENCY_LINEARIZABLE,
	Session:      pb.Consistency_CONSISTENCY_SESSION,
	Eventual:     pb.Consistency_CONSISTENCY_EVENTUAL,
}

func (s *tidemark) Put(ctx context.Context, key, value []byte) error {
	answer, err := s.client().Put(ctx, &pb.PutRequest{Key: key, Value: value})
	if applied := answer.GetHeader().GetApplied(); applied != nil {
		s.token.Store(&pb.Token{Positions: []*pb.Position{applied}})
	}
	return err
}

func (s *tidemark) Get(ctx context.Context, key []byte, promise Promise) error {
	request := &pb.GetRequest{Key: key, Consistency: consistencies[promise]}
	if promise == Session {
		request.Token = s.token.Load()
	}
	answer, err := s.client().Get(ctx, request)
	if err == nil && answer.Row == nil {
		err = fmt.Errorf("%s is missing", key)
	}
	return err
}

// tidemarkFrames is one Pipeline stream; a frame of operations, then their answers, which may come in several messages.
type tidemarkFrames struct {
	stream pb.KeyValueService_PipelineClient
	id     uint64
}

func (s *tidemark) Frames(ctx context.Context) (Frames, error) {
	stream, err := s.client().Pipeline(ctx)
	return &tidemarkFrames{stream: stream}, err
}

func (f *tidemarkFrames) Put(_ context.Context, keys [][]byte, value []byte) error {
	frame := &pb.PipelineRequest{Operations: make([]*pb.PipelineOperation, len(keys))}
	for i, key := range keys {
		f.id++
		frame.Operations[i] = &pb.PipelineOperation{
			Id: f.id, Kind: pb.PipelineOperationKind_PIPELINE_OPERATION_KIND_PUT, Key: key, Value: value,
		}
	}
	return f.exchange(frame, func(*pb.PipelineResult) error { return nil })
}

func (f *tidemarkFrames) Get(_ context.Context, keys [][]byte, promise Promise) error {
	frame := &pb.PipelineRequest{
		Consistency: consistencies[promise], Operations: make([]*pb.PipelineOperation, len(keys)),
	}
	for i, key := range keys {
		f.id++
		frame.Operations[i] = &pb.PipelineOperation{
			Id: f.id, Kind: pb.PipelineOperationKind_PIPELINE_OPERATION_KIND_GET, Key: key,
		}
	}
	return f.exchange(frame, func(result *pb.PipelineResult) error {
		if result.Version == nil {
			return fmt.Errorf("a row of %s and others is missing", keys[0])
		}
		return nil
	})
}

func (f *tidemarkFrames) exchange(frame *pb.PipelineRequest, check func(*pb.PipelineResult) error) error {
	if err := f.stream.Send(frame); err != nil && err != io.EOF {
		return err
	}
	for left := len(frame.Operations); left > 0; {
		answer, err := f.stream.Recv()
		if err != nil {
			return err
		}
		for _, result := range answer.Results {
			left--
			if result.Reason != "" {
				return fmt.Errorf("%s: %s", result.Reason, result.Message)
			}
			if err := check(result); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *tidemark) Swap(ctx context.Context, key, value []byte, mark int64) (bool, int64, error) {
	version := uint64(mark)
	answer, err := s.client().Put(ctx, &pb.PutRequest{Key: key, Value: value, IfVersion: &version})
	if err == nil {
		return true, int64(answer.Outcome.GetVersion()), nil
	}
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.Reason != "VERSION_MISMATCH" {
			continue
		}
		newer, malformed := strconv.ParseInt(info.Metadata["version"], 10, 64)
		return false, newer, malformed
	}
	return false, mark, err
}

func (s *tidemark) Scan(ctx context.Context, prefix []byte) (int, error) {
	stream, err := s.client().Scan(ctx, &pb.ScanRequest{Prefix: prefix, Consistency: pb.Consistency_CONSISTENCY_LINEARIZABLE})
	if err != nil {
		return 0, err
	}
	rows := 0
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows += len(answer.Rows)
	}
}

func (s *tidemark) Watch(ctx context.Context, prefix []byte, ready func(), deliver func([]byte)) error {
	stream, err := s.client().Watch(ctx, &pb.WatchRequest{
		Selector: &pb.WatchRequest_Prefix{Prefix: prefix}, InitialRows: true,
	})
	if err != nil {
		return err
	}
	live := false
	for {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		if live {
			for _, event := range answer.Events {
				deliver(event.Row.GetValue())
			}
		}
		if answer.Mark == pb.WatchMark_WATCH_MARK_INITIAL_END {
			live = true
			ready()
		}
	}
}

func (s *tidemark) Close() {
	for _, connection := range s.connections {
		_ = connection.Close()
	}
}
