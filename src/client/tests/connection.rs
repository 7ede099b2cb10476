use std::time::Duration;

use bytes::Bytes;

use super::scripted_broker::{ADDRESS, TOPIC, client, options, with_broker};
use crate::client::{BrokerAddress, Client, ClientError, ClientOptions, Connection};
use crate::protocol::ApiKey;
use crate::protocol::messages::MetadataRequest;

#[test]
fn an_old_broker_is_asked_again_in_the_version_it_knows() {
    for known in 0..=4 {
        with_broker(1, 1, move |reactor, broker| async move {
            broker.state.borrow_mut().api_versions_max = known;
            let address = BrokerAddress::parse(ADDRESS).unwrap();
            let connection = Connection::open(&reactor, &address, &options()).await;
            let connection = connection.unwrap_or_else(|error| panic!("v{known}: {error}"));
            assert!(connection.version(ApiKey::Produce, i16::MAX).is_ok());
        });
    }
}

#[test]
fn bytes_that_are_no_answer_end_the_connection_and_the_next_one_works() {
    let cases: [(&str, &[u8]); 5] = [
        ("another correlation id", &[0, 0, 0, 5, 0x7f, 0, 0, 0, 0]),
        ("a body that is cut off", &[0, 0, 0, 6, 0, 0, 0, 1, 0, 0]),
        (
            "an array of 2^32 - 2",
            &[
                0, 0, 0, 14, 0, 0, 0, 1, 0, 0, 0, 0, 0, 255, 255, 255, 255, 15,
            ],
        ),
        ("a negative size", &[255, 255, 255, 255]),
        ("a size without end", &[127, 255, 255, 255]),
    ];
    for (name, garbage) in cases {
        with_broker(2, 1, move |reactor, broker| async move {
            let client = client(&reactor).await;
            broker.state.borrow_mut().garbage = Some(Bytes::from_static(garbage));
            let error = client.refresh().await.expect_err(name);
            assert!(error.is_retriable(), "{name}: {error}");
            client
                .refresh()
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(client.topic(TOPIC).await.unwrap().partitions.len(), 1);
        });
    }
}

#[test]
fn a_silent_broker_is_given_up_and_all_in_flight_with_it() {
    with_broker(3, 1, |reactor, _| async move {
        let silent = reactor
            .listen("127.0.0.1:9999".parse().unwrap())
            .await
            .unwrap();
        let accept = async move {
            let kept = silent.accept().await;
            std::future::pending::<()>().await;
            drop(kept);
        };
        reactor.spawn(accept).detach();
        let address = BrokerAddress::parse("127.0.0.1:9999").unwrap();
        let opened = Connection::open(&reactor, &address, &options()).await;
        let error = opened.map(|_| ()).unwrap_err();
        assert!(
            matches!(error, ClientError::RequestTimeout { .. }),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            "127.0.0.1:9999 did not answer ApiVersions within 2000 ms"
        );
    });
}

#[test]
fn requests_beyond_the_limit_wait_and_all_are_answered() {
    with_broker(4, 1, |reactor, _| async move {
        let address = BrokerAddress::parse(ADDRESS).unwrap();
        let options = ClientOptions {
            in_flight_max: 2,
            ..options()
        };
        let connection = Connection::open(&reactor, &address, &options)
            .await
            .unwrap();
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let connection = connection.clone();
                let call = async move { connection.call(12, &MetadataRequest::default()).await };
                reactor.spawn(call)
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().brokers.len(), 1);
        }
    });
}

#[test]
fn nobody_there_is_one_sentence() {
    with_broker(5, 1, |reactor, _| async move {
        let options = ClientOptions {
            connect_timeout: Duration::from_secs(1),
            ..ClientOptions::new("127.0.0.1:1, 127.0.0.1:2")
        };
        let error = Client::connect(&reactor, options)
            .await
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        for wrong in ["", "host", "host:", "host:0", ":9092", "host:99999"] {
            let opened = Client::connect(&reactor, ClientOptions::new(wrong)).await;
            let error = opened.map(|_| ()).unwrap_err();
            assert!(matches!(error, ClientError::Invalid(_)), "{wrong}: {error}");
        }
    });
}
