package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type produceOptions struct {
	Bootstrap  string `json:"bootstrap"`
	Topic      string `json:"topic"`
	Codec      string `json:"codec"`
	Acks       string `json:"acks"`
	Idempotent bool   `json:"idempotent"`
	MaxBytes   int32  `json:"max_bytes"`
}

// delivery is what became of one record.
type delivery struct {
	Partition int32 `json:"p"`
	Offset    int64 `json:"o"`
	Error     int16 `json:"error"`
}

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

var requiredAcks = map[string]kgo.Acks{
	"0":   kgo.NoAck(),
	"1":   kgo.LeaderAck(),
	"all": kgo.AllISRAcks(),
}

// producer makes the client that the options ask for.
func producer(options produceOptions) (*kgo.Client, error) {
	codec, known := codecs[options.Codec]
	if !known {
		return nil, fmt.Errorf("no codec called %q", options.Codec)
	}
	acks, known := requiredAcks[options.Acks]
	if !known {
		return nil, fmt.Errorf("no acks called %q", options.Acks)
	}
	settings := []kgo.Opt{
		kgo.DefaultProduceTopic(options.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec),
		kgo.RequiredAcks(acks),
		kgo.AllowAutoTopicCreation(),
	}
	if !options.Idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite())
	}
	if options.MaxBytes > 0 {
		settings = append(settings, kgo.ProducerBatchMaxBytes(options.MaxBytes))
	}
	return connect(options.Bootstrap, settings...)
}

// produce sends the records and prints a delivery for each, in the order of the input.
func produce(ctx context.Context, in *input, output *bufio.Writer) error {
	var options produceOptions
	if _, err := in.next(&options); err != nil {
		return err
	}
	client, err := producer(options)
	if err != nil {
		return err
	}
	defer client.Close()
	var deliveries []*delivery
	for {
		var given record
		if more, err := in.next(&given); err != nil {
			return err
		} else if !more {
			break
		}
		delivered := &delivery{}
		deliveries = append(deliveries, delivered)
		client.Produce(ctx, given.kafka(), func(sent *kgo.Record, err error) {
			*delivered = delivery{sent.Partition, sent.Offset, errorCode(err)}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	encoder := json.NewEncoder(output)
	for _, delivered := range deliveries {
		if err := encoder.Encode(delivered); err != nil {
			return err
		}
	}
	return nil
}

func (given record) kafka() *kgo.Record {
	sent := &kgo.Record{Partition: given.Partition, Key: given.Key, Value: given.Value}
	if given.Timestamp > 0 {
		sent.Timestamp = time.UnixMilli(given.Timestamp)
	}
	for _, h := range given.Headers {
		sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
	}
	return sent
}
