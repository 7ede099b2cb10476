//! Topics a page at a time.

use super::*;

/// Topics `a` with 2 partitions, `b` with 3, `d` with 1.
fn three() -> MetadataImage {
    let mut image = MetadataImage::default();
    let mut delta = MetadataDelta::default();
    for (number, name, count) in [(1, "a", 2), (2, "b", 3), (3, "d", 1)] {
        image.apply(&topic(number, name), &mut delta).expect("new");
        for index in 0..count {
            let record = partition(number, index);
            image.apply(&record, &mut delta).expect("in order");
        }
    }
    image
}

fn cursor(topic: &str, partition: i32) -> TopicCursor {
    TopicCursor {
        topic: topic.to_owned(),
        partition,
    }
}

/// Name, whether it exists, and partitions of each topic.
fn told(page: &TopicPage) -> Vec<(&str, bool, Range<usize>)> {
    let topics = page.topics.iter();
    topics
        .map(|topic| {
            let (name, partitions) = (topic.name.as_str(), topic.partitions.clone());
            (name, topic.topic.is_some(), partitions)
        })
        .collect()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn all_topics_come_in_the_order_of_their_names() {
    let image = three();
    let page = image.topic_page(&[], None, 100).expect("a page");
    let all = [("a", true, 0..2), ("b", true, 0..3), ("d", true, 0..1)];
    assert_eq!((told(&page), page.next.clone()), (all.to_vec(), None));
    let page = image.topic_page(&names(&["d", "a", "d"]), None, 100);
    let page = page.expect("a page");
    let some = [("a", true, 0..2), ("d", true, 0..1)];
    assert_eq!((told(&page), page.next.clone()), (some.to_vec(), None));
}

#[test]
fn pages_one_after_the_other_have_everything_once() {
    let image = three();
    let everything: Vec<_> = [("a", 2), ("b", 3), ("d", 1)]
        .into_iter()
        .flat_map(|(name, count)| (0..count).map(move |partition| (name.to_owned(), partition)))
        .collect();
    for limit in 0..8 {
        let mut seen = Vec::new();
        let mut next: Option<TopicCursor> = None;
        loop {
            let page = image.topic_page(&[], next.as_ref(), limit).expect("a page");
            let before = seen.len();
            for topic in &page.topics {
                let partitions = topic.partitions.clone();
                seen.extend(partitions.map(|partition| (topic.name.clone(), partition)));
            }
            let count = seen.len() - before;
            assert!((1..=limit.max(1)).contains(&count), "{count} of {limit}");
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, everything, "limit {limit}");
    }
}

#[test]
fn a_full_page_points_to_the_next_topic() {
    let image = three();
    let page = image.topic_page(&[], None, 2).expect("a page");
    assert_eq!(told(&page), [("a", true, 0..2)]);
    assert_eq!(page.next, Some(cursor("b", 0)));
    let page = image
        .topic_page(&[], Some(&cursor("b", 1)), 1)
        .expect("a page");
    assert_eq!(told(&page), [("b", true, 1..2)]);
    assert_eq!(page.next, Some(cursor("b", 2)));
}

#[test]
fn a_topic_that_does_not_exist_takes_no_room() {
    let image = three();
    let asked = names(&["a", "c", "x"]);
    let page = image.topic_page(&asked, None, 3).expect("a page");
    let expected = [("a", true, 0..2), ("c", false, 0..0), ("x", false, 0..0)];
    assert_eq!((told(&page), page.next.clone()), (expected.to_vec(), None));
    let page = image.topic_page(&asked, None, 2).expect("a page");
    assert_eq!((told(&page).len(), page.next), (1, Some(cursor("c", 0))));
}

#[test]
fn cursors_that_point_nowhere() {
    let image = three();
    // Its topic is gone, or its partition never was.
    let page = image
        .topic_page(&[], Some(&cursor("c", 5)), 9)
        .expect("a page");
    assert_eq!(told(&page), [("d", true, 0..1)]);
    let far = cursor("b", i32::MAX);
    let page = image.topic_page(&[], Some(&far), 9).expect("a page");
    assert_eq!(told(&page), [("b", true, 3..3), ("d", true, 0..1)]);
    let negative = image.topic_page(&[], Some(&cursor("b", -1)), 9);
    assert_eq!(negative, Err(CursorError::NegativePartition));
    let not_asked = image.topic_page(&names(&["a", "d"]), Some(&cursor("b", 0)), 9);
    assert_eq!(not_asked, Err(CursorError::TopicNotAsked));
}
