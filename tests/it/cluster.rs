//! FindCoordinator, DescribeCluster, InitProducerId.

use std::collections::BTreeSet;

use kafka_protocol::messages::{
    DescribeClusterRequest, FindCoordinatorRequest, InitProducerIdRequest,
};
use kafka_protocol::messages::{ProducerId, TransactionalId};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::topics::{code, init_producer_id, text, versions};

/// From this version on FindCoordinator has a list of keys.
const KEY_LIST_VERSION_MIN: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

fn find(version: i16, key_type: i8, keys: &[&str]) -> FindCoordinatorRequest {
    let mut request = FindCoordinatorRequest::default();
    if version >= 1 {
        request.key_type = key_type;
    }
    if version >= KEY_LIST_VERSION_MIN {
        request.with_coordinator_keys(keys.iter().map(|key| text(key)).collect())
    } else {
        request.with_key(text(keys[0]))
    }
}

#[test]
fn this_node_coordinates_every_group_and_transaction() {
    let broker = TestBroker::start(&["node.id=3"]);
    let mut wire = broker.connect();
    let port = i32::from(broker.address().port());
    for version in versions(ApiKey::FindCoordinator) {
        for key_type in [GROUP, TRANSACTION] {
            if key_type != GROUP && version == 0 {
                continue;
            }
            let keys = ["one", "two"];
            let response = wire.call(version, &find(version, key_type, &keys));
            if version < KEY_LIST_VERSION_MIN {
                assert_eq!((response.error_code, response.node_id.0), (0, 3));
                assert_eq!((response.host.as_str(), response.port), ("127.0.0.1", port));
                continue;
            }
            let found = response.coordinators.iter().map(|c| c.key.as_str());
            assert!(found.eq(keys), "version {version}");
            for found in &response.coordinators {
                assert_eq!((found.error_code, found.node_id.0), (0, 3));
                assert_eq!((found.host.as_str(), found.port), ("127.0.0.1", port));
            }
        }
        if version >= 1 {
            let response = wire.call(version, &find(version, 9, &["odd"]));
            let error = match response.coordinators.first() {
                Some(found) => found.error_code,
                None => response.error_code,
            };
            assert_eq!(error, code(ErrorCode::InvalidRequest), "version {version}");
        }
    }
}

#[test]
fn the_cluster_is_described_in_every_version() {
    let broker = TestBroker::start(&["node.id=3"]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::DescribeCluster) {
        let response = wire.call(version, &DescribeClusterRequest::default());
        assert_eq!(response.error_code, 0);
        assert_eq!(response.cluster_id.as_str(), broker.cluster_id());
        assert_eq!(response.controller_id.0, 3);
        let brokers = response.brokers.iter();
        let brokers = brokers.map(|b| (b.broker_id.0, b.host.to_string(), b.port));
        let port = i32::from(broker.address().port());
        assert!(brokers.eq([(3, "127.0.0.1".to_owned(), port)]));
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
        let asked =
            DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let response = wire.call(version, &asked);
        // Kafka's without an authorizer: everything that there is.
        assert_eq!(response.cluster_authorized_operations, 8096);
        if version >= 1 {
            for (endpoint_type, error) in [
                (0, ErrorCode::UnsupportedEndpointType),
                (2, ErrorCode::MismatchedEndpointType),
                (9, ErrorCode::UnsupportedEndpointType),
            ] {
                let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
                let response = wire.call(version, &request);
                assert_eq!(response.error_code, code(error));
                assert!(response.error_message.is_some() && response.brokers.is_empty());
            }
        }
        if version >= 2 {
            let request = DescribeClusterRequest::default().with_include_fenced_brokers(true);
            let fenced: Vec<_> = wire.call(version, &request).brokers;
            assert!(fenced.iter().map(|broker| broker.is_fenced).eq([false]));
        }
    }
}

#[test]
fn no_two_producers_get_the_same_id() {
    let mut broker = TestBroker::start(&[]);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let mut wires = [broker.connect(), broker.connect()];
        for version in versions(ApiKey::InitProducerId) {
            for wire in &mut wires {
                let request = init_producer_id(1);
                let response = wire.call(version, &request);
                assert_eq!((response.error_code, response.producer_epoch), (0, 0));
                let ProducerId(id) = response.producer_id;
                assert!(id >= 0 && seen.insert(id), "{id} was given out before");
            }
        }
        drop(wires);
        broker.restart(&[]);
    }
}

#[test]
fn transactional_ids_are_refused_as_long_as_there_are_no_transactions() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::InitProducerId) {
        for (id, error) in [
            ("", ErrorCode::InvalidRequest),
            ("mine", ErrorCode::UnsupportedVersion),
        ] {
            let request = InitProducerIdRequest::default()
                .with_transaction_timeout_ms(60_000)
                .with_transactional_id(Some(TransactionalId(text(id))));
            let response = wire.call(version, &request);
            assert_eq!(
                response.error_code,
                code(error),
                "{id:?} in version {version}"
            );
        }
    }
}
