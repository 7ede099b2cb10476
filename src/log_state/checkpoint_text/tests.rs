use super::*;

#[test]
fn offset_checkpoints_survive() {
    let mut offsets = BTreeMap::new();
    offsets.insert(TopicPartition::new("a.b-c", 0), 41);
    offsets.insert(TopicPartition::new("a.b-c", 11), 0);
    let text = encode_offsets(
        offsets
            .iter()
            .map(|(partition, &offset)| (partition, offset)),
    );
    assert_eq!(text, "0\n2\na.b-c 0 41\na.b-c 11 0\n");
    assert_eq!(decode_offsets(&text).unwrap(), offsets);
    assert!(decode_offsets("").unwrap().is_empty());
    for bad in [
        "7\n0\n",
        "0\n1\n",
        "0\n1\nt 0\n",
        "0\n1\nt 0 x\n",
        "0\nmany\n",
    ] {
        assert!(decode_offsets(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn partition_metadata_is_kafkas() {
    let text = "version: 0\ntopic_id: CK_EclpESBiyXkpYoVfyaA";
    let topic_id = decode_partition_metadata(text).unwrap();
    assert_eq!(encode_partition_metadata(topic_id), text);
    for bad in [
        "",
        "version: 1\ntopic_id: CK_EclpESBiyXkpYoVfyaA",
        "version: 0\ntopic_id: x",
    ] {
        assert!(decode_partition_metadata(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn meta_properties_of_kafkas_are_understood() {
    let text = "#\n#Sun Nov 22 22:14:29 UTC 2026\nnode.id=1\n\
                directory.id=DlGaQzBgQB68kGjFflQlZw\nversion=1\n\
                cluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";
    let meta = MetaProperties::decode(text).unwrap();
    assert_eq!(meta.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    assert_eq!(meta.node_id, 1);
    assert_eq!(meta.directory_id.to_string(), "DlGaQzBgQB68kGjFflQlZw");
    assert_eq!(MetaProperties::decode(&meta.encode()).unwrap(), meta);
    let missing = MetaProperties::decode("version=1\nnode.id=1\n").unwrap_err();
    assert_eq!(missing.to_string(), "directory.id is missing");
}
