// Command franz runs franz-go (kgo and kadm) for the tests of foreign clients.
//
// The protocol is the one of every client that can hold arbitrary bytes; docs/clients.md writes it
// down: the first line of standard input is a JSON object of options, each further line a record;
// standard output has one JSON object per line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLineSize bounds one line of input, in bytes: a record of 2 MiB in base64 fits.
const maxLineSize = 4 << 20

type header struct {
	Name  string
	Value []byte
}

// UnmarshalJSON reads ["name", "base64" or null].
func (h *header) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &[]any{&h.Name, &h.Value})
}

// MarshalJSON writes what UnmarshalJSON reads.
func (h header) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{h.Name, h.Value})
}

type record struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Timestamp int64    `json:"t"`
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []header `json:"h"`
}

// input is standard input: the options, then the records.
type input struct {
	lines *bufio.Scanner
}

func newInput() *input {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 64<<10), maxLineSize)
	return &input{lines}
}

// next decodes the next line; false at the end.
func (in *input) next(into any) (bool, error) {
	if !in.lines.Scan() {
		return false, in.lines.Err()
	}
	return true, json.Unmarshal(in.lines.Bytes(), into)
}

// errorCode is Kafka's number of an error: 0 for none, -1 for one that is not from the broker.
func errorCode(err error) int16 {
	var kafka *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &kafka):
		return kafka.Code
	default:
		fmt.Fprintln(os.Stderr, err)
		return -1
	}
}

func connect(bootstrap string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)...)
}

func version() error {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("no build information")
	}
	for _, module := range build.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			fmt.Println(module.Version)
		}
	}
	return nil
}

func run(command string) error {
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	ctx := context.Background()
	switch command {
	case "version":
		return version()
	case "produce":
		return produce(ctx, newInput(), output)
	case "consume":
		return consume(ctx, newInput(), output)
	case "admin":
		return administrate(ctx, newInput(), output)
	default:
		return fmt.Errorf("no command called %q: version, produce, consume, admin", command)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: franz version|produce|consume|admin")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
