package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// adminOptions: topics (name to partition count) is for create and delete, topic for what is done to
// one, with at for offsets, names for configs, configs for set_configs, count for add_partitions,
// offset for delete_records.
type adminOptions struct {
	Bootstrap string            `json:"bootstrap"`
	Op        string            `json:"op"`
	Topics    map[string]int32  `json:"topics"`
	Topic     string            `json:"topic"`
	At        json.RawMessage   `json:"at"`
	Names     []string          `json:"names"`
	Configs   map[string]string `json:"configs"`
	Count     int               `json:"count"`
	Offset    int64             `json:"offset"`
}

// administrate runs one operation and prints its answer as one object.
func administrate(ctx context.Context, in *input, output *bufio.Writer) error {
	var options adminOptions
	if _, err := in.next(&options); err != nil {
		return err
	}
	connection, err := connect(options.Bootstrap)
	if err != nil {
		return err
	}
	client := kadm.NewClient(connection)
	defer client.Close()
	var answer any
	switch options.Op {
	case "create":
		answer, err = createTopics(ctx, client, options.Topics)
	case "delete":
		answer, err = deleteTopics(ctx, client, options.Topics)
	case "list":
		answer, err = listTopics(ctx, client)
	case "offsets":
		answer, err = listOffsets(ctx, client, options.Topic, options.At)
	case "cluster":
		answer, err = describeCluster(ctx, client)
	case "configs":
		answer, err = describeConfigs(ctx, client, options.Topic, options.Names)
	case "set_configs":
		answer, err = setConfigs(ctx, client, options.Topic, options.Configs)
	case "add_partitions":
		answer, err = addPartitions(ctx, client, options.Topic, options.Count)
	case "delete_records":
		answer, err = deleteRecords(ctx, client, options.Topic, options.Offset)
	default:
		err = fmt.Errorf("no operation called %q", options.Op)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(output).Encode(answer)
}

// createTopics answers an error code by topic.
func createTopics(
	ctx context.Context, client *kadm.Client, topics map[string]int32,
) (map[string]int16, error) {
	codes := map[string]int16{}
	for name, partitionCount := range topics {
		created, err := client.CreateTopics(ctx, partitionCount, 1, nil, name)
		if err != nil {
			return nil, err
		}
		codes[name] = errorCode(created[name].Err)
	}
	return codes, nil
}

func deleteTopics(
	ctx context.Context, client *kadm.Client, topics map[string]int32,
) (map[string]int16, error) {
	codes := map[string]int16{}
	for name := range topics {
		deleted, err := client.DeleteTopics(ctx, name)
		if err != nil {
			return nil, err
		}
		codes[name] = errorCode(deleted[name].Err)
	}
	return codes, nil
}

// listTopics answers the partition count by topic, internal topics left out.
func listTopics(ctx context.Context, client *kadm.Client) (map[string]int, error) {
	topics, err := client.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for name, topic := range topics {
		counts[name] = len(topic.Partitions)
	}
	return counts, nil
}

// listOffsets answers the offset by partition at "earliest", "latest", "max_timestamp", or the
// first at or after a time in milliseconds.
func listOffsets(
	ctx context.Context, client *kadm.Client, topic string, at json.RawMessage,
) (map[int32]int64, error) {
	var listed kadm.ListedOffsets
	var millisecond int64
	var err error
	switch {
	case string(at) == `"earliest"`:
		listed, err = client.ListStartOffsets(ctx, topic)
	case string(at) == `"latest"`:
		listed, err = client.ListEndOffsets(ctx, topic)
	case string(at) == `"max_timestamp"`:
		listed, err = client.ListMaxTimestampOffsets(ctx, topic)
	case json.Unmarshal(at, &millisecond) == nil:
		listed, err = client.ListOffsetsAfterMilli(ctx, millisecond, topic)
	default:
		err = fmt.Errorf("no place called %s", at)
	}
	if err != nil {
		return nil, err
	}
	if err := listed.Error(); err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	listed.Each(func(each kadm.ListedOffset) { offsets[each.Partition] = each.Offset })
	return offsets, nil
}

func describeCluster(ctx context.Context, client *kadm.Client) (map[string]any, error) {
	cluster, err := client.BrokerMetadata(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"brokers":    cluster.Brokers.NodeIDs(),
		"controller": cluster.Controller,
		"cluster_id": cluster.Cluster,
	}, nil
}

// describeConfigs answers the value by name.
func describeConfigs(
	ctx context.Context, client *kadm.Client, topic string, names []string,
) (map[string]*string, error) {
	described, err := client.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	configs, err := described.On(topic, nil)
	if err != nil {
		return nil, err
	}
	if configs.Err != nil {
		return nil, configs.Err
	}
	values := map[string]*string{}
	for _, name := range names {
		for _, config := range configs.Configs {
			if config.Key == name {
				values[name] = config.Value
			}
		}
	}
	return values, nil
}

func setConfigs(
	ctx context.Context, client *kadm.Client, topic string, configs map[string]string,
) (map[string]int16, error) {
	var changes []kadm.AlterConfig
	for name, value := range configs {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
	}
	altered, err := client.AlterTopicConfigs(ctx, changes, topic)
	if err != nil {
		return nil, err
	}
	return map[string]int16{"error": errorCode(altered[0].Err)}, nil
}

func addPartitions(
	ctx context.Context, client *kadm.Client, topic string, count int,
) (map[string]int16, error) {
	grown, err := client.UpdatePartitions(ctx, count, topic)
	if err != nil {
		return nil, err
	}
	return map[string]int16{"error": errorCode(grown[topic].Err)}, nil
}

func deleteRecords(
	ctx context.Context, client *kadm.Client, topic string, offset int64,
) (map[string]int64, error) {
	var before kadm.Offsets
	before.AddOffset(topic, 0, offset, -1)
	deleted, err := client.DeleteRecords(ctx, before)
	if err != nil {
		return nil, err
	}
	done, known := deleted.Lookup(topic, 0)
	if !known || done.Err != nil {
		return nil, fmt.Errorf("%s-0: %w", topic, done.Err)
	}
	return map[string]int64{"low_watermark": done.LowWatermark}, nil
}
