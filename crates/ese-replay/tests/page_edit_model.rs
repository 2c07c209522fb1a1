//! The page editor against a plain list of nodes: whatever is done to a page, it holds what the list holds, and its
//! free count is what the list leaves.

use ese_format::page::{NodeFlags, PageFlags};
use ese_format::{ObjId, Pgno};
use ese_replay::page_edit::{EditError, PageBuffer};
use proptest::prelude::*;

const TAG: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Insert {
        at: usize,
        key: Vec<u8>,
        data: Vec<u8>,
        flags: u8,
    },
    Replace {
        at: usize,
        data: Vec<u8>,
    },
    Delete {
        at: usize,
    },
    Flags {
        at: usize,
        flags: u8,
    },
    Prefix {
        bytes: Vec<u8>,
    },
    Reorganise,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    key: Vec<u8>,
    prefix: usize,
    data: Vec<u8>,
    flags: u8,
}

impl Line {
    fn size(&self) -> usize {
        let lengths = if self.prefix > 0 { 4 } else { 2 };
        TAG + lengths + self.key.len() - self.prefix + self.data.len()
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = |most| prop::collection::vec(0u8..3, 0..most);
    let step = prop_oneof![
        6 => (any::<usize>(), bytes(40), bytes(400), 0u8..4)
            .prop_map(|(at, key, data, flags)| Step::Insert { at, key, data, flags }),
        3 => (any::<usize>(), bytes(900)).prop_map(|(at, data)| Step::Replace { at, data }),
        3 => any::<usize>().prop_map(|at| Step::Delete { at }),
        1 => (any::<usize>(), 0u8..4).prop_map(|(at, flags)| Step::Flags { at, flags }),
        1 => bytes(12).prop_map(|bytes| Step::Prefix { bytes }),
        1 => Just(Step::Reorganise),
    ];
    prop::collection::vec(step, 1..120)
}

fn new_page(size: usize) -> PageBuffer {
    let mut page = PageBuffer::new_preinit(size, Pgno(7), ObjId(3)).unwrap();
    page.consume(PageFlags::LEAF);
    page
}

/// Does one step to page and model; a step without room must change neither.
fn apply(page: &mut PageBuffer, model: &mut Vec<Line>, prefix: &mut Vec<u8>, step: &Step) {
    let before = page.clone();
    let result = match step {
        Step::Insert {
            at,
            key,
            data,
            flags,
        } => {
            let at = at % (model.len() + 1);
            let done = page.insert_node_compressed(at, key, data, node_flags(*flags));
            if done.is_ok() {
                let common = key.iter().zip(&*prefix).take_while(|(a, b)| a == b).count();
                let common = if common > 2 { common } else { 0 };
                let (key, data) = (key.clone(), data.clone());
                model.insert(
                    at,
                    Line {
                        key,
                        prefix: common,
                        data,
                        flags: *flags,
                    },
                );
            }
            done
        }
        Step::Replace { at, data } if !model.is_empty() => {
            let at = at % model.len();
            let done = page.replace_data(at, data);
            if done.is_ok() {
                model[at].data.clone_from(data);
            }
            done
        }
        Step::Delete { at } if !model.is_empty() => {
            let at = at % model.len();
            model.remove(at);
            page.delete_node(at)
        }
        Step::Flags { at, flags } if !model.is_empty() => {
            let at = at % model.len();
            model[at].flags = *flags;
            page.change_node_flags(at, node_flags(*flags), node_flags(3 & !*flags))
        }
        Step::Prefix { bytes } if model.iter().all(|line| line.prefix == 0) => {
            let done = page.set_external_header(bytes);
            if done.is_ok() {
                prefix.clone_from(bytes);
            }
            done
        }
        Step::Reorganise => page.reorganise(),
        _ => Ok(()),
    };
    match result {
        Ok(()) => {}
        Err(EditError::NoRoom { .. }) => assert_eq!(contents(&before), contents(page)),
        Err(other) => panic!("{step:?}: {other}"),
    }
}

fn node_flags(bits: u8) -> NodeFlags {
    NodeFlags::from_bits_retain(bits)
}

fn contents(page: &PageBuffer) -> Vec<Line> {
    (0..page.node_count())
        .map(|line| {
            let node = page.node(line).unwrap();
            Line {
                key: node.key().to_vec(),
                prefix: node.prefix.len(),
                data: node.data.to_vec(),
                flags: (node.flags - NodeFlags::COMPRESSED).bits(),
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_page_holds_what_was_put_on_it(size in prop::sample::select(vec![2048usize, 4096, 8192, 16384, 32768]), steps in steps()) {
        let (mut page, mut model, mut prefix) = (new_page(size), Vec::new(), Vec::new());
        for step in &steps {
            apply(&mut page, &mut model, &mut prefix, step);
            prop_assert_eq!(&contents(&page), &model);
            prop_assert_eq!(page.view().external_header().unwrap(), &prefix[..]);
            let used: usize = model.iter().map(Line::size).sum();
            prop_assert_eq!(page.free(), size - page.view().size().header_size() - TAG - prefix.len() - used);
        }
        page.empty().unwrap();
        prop_assert_eq!(page.node_count(), 0);
        prop_assert_eq!(page.free(), size - page.view().size().header_size() - TAG);
    }

    /// Any bytes at all: every operation answers or refuses.
    #[test]
    fn a_hostile_page_is_refused_not_followed(seed in prop::collection::vec(any::<u8>(), 96), large in any::<bool>(), steps in steps()) {
        let size = if large { 16384 } else { 2048 };
        let mut bytes: Vec<u8> = seed.iter().copied().cycle().take(size).collect();
        bytes[28..40].copy_from_slice(&seed[..12]);
        bytes[size - 64..].copy_from_slice(&seed[..64]);
        let mut page = PageBuffer::from_bytes(bytes.into_boxed_slice(), Pgno(2)).unwrap();
        for step in steps {
            let _ = match step {
                Step::Insert { at, key, data, flags } => page.insert_node_compressed(at % 99, &key, &data, node_flags(flags)),
                Step::Replace { at, data } => page.replace_data(at % 99, &data),
                Step::Delete { at } => page.delete_node(at % 99),
                Step::Flags { at, flags } => page.change_node_flags(at % 99, node_flags(flags), NodeFlags::empty()),
                Step::Prefix { bytes } => page.set_external_header(&bytes),
                Step::Reorganise => page.overwrite_unused(b'Z'),
            };
        }
    }
}
