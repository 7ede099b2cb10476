package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pollTimeout is how long one poll waits; the first that brings nothing is reported as waiting.
const pollTimeout = time.Second

type consumeOptions struct {
	Bootstrap  string                   `json:"bootstrap"`
	Topic      string                   `json:"topic"`
	Partitions map[int32]partitionRange `json:"partitions"`
}

// partitionRange is what to read of a partition: count records from start on, which is "earliest",
// an offset, or {"timestamp": milliseconds}.
type partitionRange struct {
	Start json.RawMessage `json:"start"`
	Count int             `json:"count"`
}

func (r partitionRange) offset() (kgo.Offset, error) {
	var at struct {
		Timestamp int64 `json:"timestamp"`
	}
	var number int64
	if string(r.Start) == `"earliest"` {
		return kgo.NewOffset().AtStart(), nil
	}
	if json.Unmarshal(r.Start, &number) == nil {
		return kgo.NewOffset().At(number), nil
	}
	if err := json.Unmarshal(r.Start, &at); err != nil {
		return kgo.Offset{}, fmt.Errorf("no start: %s", r.Start)
	}
	return kgo.NewOffset().AfterMilli(at.Timestamp), nil
}

// consume reads by assignment and prints the records of each partition in their order. It ends
// when every partition has given its count; {"error": code} is printed for what a fetch brings.
func consume(ctx context.Context, in *input, output *bufio.Writer) error {
	var options consumeOptions
	if _, err := in.next(&options); err != nil {
		return err
	}
	starts := map[int32]kgo.Offset{}
	missing := map[int32]int{}
	remaining := 0
	for partition, wanted := range options.Partitions {
		start, err := wanted.offset()
		if err != nil {
			return err
		}
		starts[partition] = start
		missing[partition] = wanted.Count
		remaining += wanted.Count
	}
	client, err := connect(options.Bootstrap,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{options.Topic: starts}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	encoder := json.NewEncoder(output)
	for waited := false; remaining > 0; {
		poll, cancel := context.WithTimeout(ctx, pollTimeout)
		fetches := client.PollFetches(poll)
		expired := poll.Err() != nil
		cancel()
		if fetches.NumRecords() == 0 && expired {
			if !waited {
				waited = true
				fmt.Fprintln(output, `{"waiting": true}`)
				output.Flush()
			}
			continue
		}
		for _, failed := range fetches.Errors() {
			fmt.Fprintf(output, "{\"error\": %d}\n", errorCode(failed.Err))
			return nil
		}
		for each := fetches.RecordIter(); !each.Done(); {
			fetched := each.Next()
			if missing[fetched.Partition] == 0 {
				continue
			}
			missing[fetched.Partition]--
			remaining--
			if err := encoder.Encode(fromKafka(fetched)); err != nil {
				return err
			}
		}
	}
	return nil
}

func fromKafka(fetched *kgo.Record) record {
	seen := record{
		Partition: fetched.Partition,
		Offset:    fetched.Offset,
		Timestamp: fetched.Timestamp.UnixMilli(),
		Key:       fetched.Key,
		Value:     fetched.Value,
		Headers:   []header{},
	}
	for _, h := range fetched.Headers {
		seen.Headers = append(seen.Headers, header{h.Key, h.Value})
	}
	return seen
}
