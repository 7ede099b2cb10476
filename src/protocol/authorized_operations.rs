//! Which operations a client may carry out, as answers say it: a bit for each (KIP-430).
//!
//! There is no authorizer: whoever asks may do all that a resource has (Kafka's `AuthHelper` says
//! the same without one).

/// An operation that may be allowed or denied; the numbers are those of Kafka's `AclOperation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum AclOperation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

use AclOperation::{
    Alter, AlterConfigs, ClusterAction, Create, Delete, Describe, DescribeConfigs, IdempotentWrite,
    Read, Write,
};

/// What an answer says when nobody asked.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// Everything that can be done to a topic (`AclEntry.supportedOperations`).
pub const TOPIC_OPERATIONS: i32 = bits(&[
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
]);

/// Everything that can be done to the cluster.
pub const CLUSTER_OPERATIONS: i32 = bits(&[
    Create,
    Alter,
    Describe,
    ClusterAction,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
]);

const fn bits(operations: &[AclOperation]) -> i32 {
    let mut bits = 0;
    let mut index = 0;
    while index < operations.len() {
        bits |= 1 << operations[index] as u8;
        index += 1;
    }
    bits
}
