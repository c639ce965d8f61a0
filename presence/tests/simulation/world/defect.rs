//! Faults of the product that a run can be made to have, to see that it is caught. They live in the world alone: no
//! product code knows of them.

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A dead replica's sessions lock their agents out until a replica of the same label registers.
    LockedOut,
    /// A replica that drains moves its sessions to history and tells nobody.
    DrainedInSilence,
    /// A session is given up by its key, whatever its id and generation.
    ReleasedByKey,
    /// A replica answers nobody while one of its clients does not read.
    StalledByAClient,
    /// An event that could not be published is forgotten.
    ForgottenEvent,
    /// A claim is taken whatever happened to its replica's lease meanwhile.
    Unfenced,
    /// What the store has under a replica's name and the replica does not know of stays for ever.
    Unreconciled,
    /// The late end of an old socket is believed, though the generation has grown.
    GenerationIgnored,
    /// The agents of a dead replica are given no time to come back.
    NoReturnWindow,
    /// Nobody ends the sessions of the dead.
    Unswept,
    /// `entered` is told again when a session is replaced.
    EnteredAgain,
}
