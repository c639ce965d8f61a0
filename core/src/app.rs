//! The classroom apps: what kinds of client there are, and how their words for it are told apart.

use std::fmt;

/// What a client of the Socket.IO door is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Teacher,
    /// `StudentWeb` and `ParticipantWeb`.
    Student,
    Manager,
    TeacherHub,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Teacher, Self::Student, Self::Manager, Self::TeacherHub];

    /// The word of tokens, queries, messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
            Self::Manager => "manager",
            Self::TeacherHub => "teacher_hub",
        }
    }

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether it takes part in lessons.
    pub const fn joins_lessons(self) -> bool {
        matches!(self, Self::Teacher | Self::Student)
    }

    /// Whether a query's `product_type`, rather than its `role`, says that a client is this.
    pub const fn is_product(self) -> bool {
        matches!(self, Self::Manager | Self::TeacherHub)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_word() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::named("Teacher"), None);
    }
}
