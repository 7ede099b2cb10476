use super::*;

fn report() -> ProduceReport {
    let cpu = CpuTimes {
        broker: Some(3.0),
        client: 5.0,
    };
    ProduceReport {
        broker: "embedded, 2 shards".to_owned(),
        class: "P".to_owned(),
        rate: RateReport::new(2_000_000, 2_000_000_000, 10.0, &[180.0, 220.0, 200.0]),
        cpu: CpuReport::new(cpu, 2_000_000_000, 10.0, 0.5),
        raw: RawReport {
            disk_mb_per_s: vec![1000.0, 800.0],
            append_128k_us: None,
            loopback_mb_per_s: Some(900.0),
        },
        share_of_disk: Some(0.2),
        ..ProduceReport::default()
    }
}

#[test]
fn json_holds_the_figures_by_name_and_unit() {
    let json = serde_json::to_value(report()).unwrap();
    for (pointer, expected) in [
        ("/rate/records_per_s", 200_000.0),
        ("/rate/mb_per_s", 200.0),
        ("/rate/mb_per_s_of_seconds/1", 200.0),
        ("/cpu/broker_ms_per_mb", 1.5),
        ("/cpu/client_ms_per_mb", 2.5),
        ("/cpu/broker_cores", 0.3),
        ("/cpu/steal_percent", 0.5),
        ("/raw/disk_mb_per_s/0", 1000.0),
        ("/share_of_disk", 0.2),
    ] {
        let found = json.pointer(pointer).and_then(serde_json::Value::as_f64);
        assert_eq!(found, Some(expected), "{pointer} of {json:#}");
    }
    for pointer in [
        "/batch_us/p999",
        "/record_us/p50",
        "/settings/acks",
        "/host/kernel",
    ] {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
}

#[test]
fn the_text_says_what_matters() {
    let text = report().to_string();
    for part in [
        "200,000/s (2,000,000 in 10.00 s)",
        "200.0 MB/s (by second: 180 / 200 / 220",
        "class P",
        "broker 1.50 ms/MB",
        "1000, 800 MB/s",
        "this run: 20 %",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
    let mut read = ConsumeReport {
        is_checked: true,
        ..ConsumeReport::default()
    };
    assert!(read.to_string().contains("none lost"));
    read.faults.lost = 3;
    read.faults.described = vec!["partition 1: records 4 to 6".to_owned()];
    let text = read.to_string();
    assert!(text.contains("WRONG") && text.contains("3 lost"), "{text}");
    assert!(text.contains("records 4 to 6"), "{text}");
}

#[test]
fn the_limit_is_the_smaller_one() {
    let mut raw = report().raw;
    assert_eq!(raw.limit_mb_per_s(), Some(900.0));
    raw.loopback_mb_per_s = None;
    assert_eq!(raw.limit_mb_per_s(), Some(1000.0));
    assert_eq!(RawReport::default().limit_mb_per_s(), None);
}

#[test]
fn large_numbers_are_grouped() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(thousands(number), text);
    }
}
