// Command load runs one workload against one server and prints what it came to as JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	compare "tidemark.dev/compare"
)

func main() {
	server := flag.String("server", "", "tidemark, etcd, redis or streams")
	addresses := flag.String("addresses", "", "host:port, several with commas")
	connections := flag.Int("connections", 1, "connections that the clients share")
	workload := flag.String("workload", "", "what to do")
	plan := compare.Plan{}
	flag.IntVar(&plan.Clients, "clients", 64, "clients at the same time")
	flag.DurationVar(&plan.Length, "length", 5*time.Second, "how long")
	flag.IntVar(&plan.Keys, "keys", 100_000, "rows of the key space")
	flag.StringVar(&plan.Prefix, "prefix", "row/", "what their keys begin with")
	flag.IntVar(&plan.ValueBytes, "value-bytes", 100, "bytes of a value")
	flag.IntVar(&plan.Frame, "frame", 64, "operations of a frame")
	flag.IntVar(&plan.Watchers, "watchers", 100, "watchers")
	flag.IntVar(&plan.EventsPerSecond, "events", 1000, "events in a second that are watched")
	flag.Parse()
	if err := run(*server, strings.Split(*addresses, ","), *connections, *workload, plan); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(kind string, addresses []string, connections int, workload string, plan compare.Plan) error {
	work, known := compare.Workloads[workload]
	if !known {
		return fmt.Errorf("no workload is called %q", workload)
	}
	server, err := compare.Connect(kind, addresses, connections)
	if err != nil {
		return err
	}
	defer server.Close()
	result, err := work(context.Background(), server, plan)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
