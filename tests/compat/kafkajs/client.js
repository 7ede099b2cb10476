// kafkajs as a process for the tests of foreign clients. It cannot read by assignment: it produces
// and administrates.
//
// usage: client.js version|produce|admin; docs/clients.md has the protocol.
'use strict'

const fs = require('fs')
const {
  CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel,
} = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
}
// kafkajs puts what one call is given into one batch for each partition.
const BATCH_SIZE_MAX = 500_000
const BATCH_COUNT_MAX = 500

const decode = text => (text === null ? null : Buffer.from(text, 'base64'))
const emit = answer => process.stdout.write(JSON.stringify(answer) + '\n')

function connect(bootstrap) {
  const quiet = { logLevel: logLevel.NOTHING, retry: { retries: 5 } }
  return new Kafka({ clientId: 'compat', brokers: [bootstrap], ...quiet })
}

function message(record) {
  const headers = {}
  for (const [name, value] of record.h) {
    headers[name] = name in headers ? [].concat(headers[name], [decode(value)]) : decode(value)
  }
  const sent = { partition: record.p, key: decode(record.k), value: decode(record.v), headers }
  if (record.t) sent.timestamp = String(record.t)
  return sent
}

// Runs of records that make batches of a fair size.
function* batches(records) {
  let batch = []
  let size = 0
  for (const record of records) {
    const length = (record.v || '').length + (record.k || '').length
    if (batch.length && (size + length > BATCH_SIZE_MAX || batch.length >= BATCH_COUNT_MAX)) {
      yield batch
      batch = []
      size = 0
    }
    batch.push(record)
    size += length
  }
  if (batch.length) yield batch
}

async function produce(options, records) {
  const producer = connect(options.bootstrap).producer({
    idempotent: options.idempotent,
    allowAutoTopicCreation: true,
    ...(options.idempotent ? { maxInFlightRequests: 1 } : {}),
  })
  await producer.connect()
  for (const batch of batches(records)) {
    let bases = {}
    let error = 0
    try {
      const sent = await producer.send({
        topic: options.topic,
        acks: options.acks === 'all' ? -1 : Number(options.acks),
        compression: CODECS[options.codec],
        messages: batch.map(message),
      })
      for (const each of sent) bases[each.partition] = Number(each.baseOffset)
    } catch (failed) {
      error = codeOf(failed)
    }
    const next = { ...bases }
    for (const record of batch) {
      const offset = record.p in next ? next[record.p]++ : -1
      emit({ p: record.p, o: offset, error })
    }
  }
  await producer.disconnect()
}

// The number of Kafka's error, wherever kafkajs has put it.
function codeOf(failed) {
  for (let error = failed; error; error = error.cause || error.originalError) {
    if (typeof error.code === 'number') return error.code
  }
  throw failed
}

async function codesOf(topics, operation) {
  const codes = {}
  for (const name of topics) {
    try {
      const done = await operation(name)
      // false: the topic exists.
      codes[name] = done === false ? 36 : 0
    } catch (failed) {
      const inner = failed.errors ? failed.errors[0] : failed
      codes[name] = codeOf(inner)
    }
  }
  return codes
}

async function codeOfOne(operation) {
  return { error: (await codesOf(['it'], operation)).it }
}

async function listed(admin) {
  const { topics } = await admin.fetchTopicMetadata()
  return Object.fromEntries(topics.map(topic => [topic.name, topic.partitions.length]))
}

async function offsets(admin, { topic, at }) {
  const rows = ['earliest', 'latest'].includes(at)
    ? await admin.fetchTopicOffsets(topic)
    : await admin.fetchTopicOffsetsByTimestamp(topic, at)
  const field = { earliest: 'low', latest: 'high' }[at] || 'offset'
  return Object.fromEntries(rows.map(row => [row.partition, Number(row[field])]))
}

async function configs(admin, { topic, names }) {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }]
  const described = await admin.describeConfigs({ includeSynonyms: false, resources })
  const entries = described.resources[0].configEntries
  const shown = Object.fromEntries(entries.map(entry => [entry.configName, entry.configValue]))
  return Object.fromEntries(names.map(name => [name, shown[name]]))
}

function setConfigs(admin, { topic, configs }) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }]
  return admin.alterConfigs({ validateOnly: false, resources })
}

async function deleteRecords(admin, { topic, offset }) {
  const partitions = [{ partition: 0, offset: String(offset) }]
  // It deletes only from topics whose leaders it has asked for.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions })
  const [row] = await admin.fetchTopicOffsets(topic)
  return { low_watermark: Number(row.low) }
}

const OPERATIONS = {
  create: (admin, { topics }) =>
    codesOf(Object.keys(topics), name =>
      admin.createTopics({
        waitForLeaders: false,
        topics: [{ topic: name, numPartitions: topics[name], replicationFactor: 1 }],
      })
    ),
  delete: (admin, { topics }) =>
    codesOf(Object.keys(topics), name => admin.deleteTopics({ topics: [name] })),
  list: listed,
  offsets,
  cluster: async admin => {
    const cluster = await admin.describeCluster()
    return {
      brokers: cluster.brokers.map(broker => broker.nodeId),
      controller: cluster.controller,
      cluster_id: cluster.clusterId,
    }
  },
  configs,
  set_configs: (admin, options) => codeOfOne(() => setConfigs(admin, options)),
  add_partitions: (admin, { topic, count }) =>
    codeOfOne(() => admin.createPartitions({ topicPartitions: [{ topic, count }] })),
  delete_records: deleteRecords,
}

async function administrate(options) {
  const operation = OPERATIONS[options.op]
  if (!operation) throw new Error(`no operation called ${options.op}`)
  const admin = connect(options.bootstrap).admin()
  await admin.connect()
  emit(await operation(admin, options))
  await admin.disconnect()
}

async function main() {
  const command = process.argv[2]
  if (command === 'version') {
    console.log(require('kafkajs/package.json').version)
    return
  }
  const lines = fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)
  const [options, ...records] = lines.map(line => JSON.parse(line))
  if (command === 'produce') await produce(options, records)
  else if (command === 'admin') await administrate(options)
  else throw new Error('usage: client.js version|produce|admin')
}

main().catch(failed => {
  console.error(failed)
  process.exit(1)
})
