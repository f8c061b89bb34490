//! What the made-up marketplace is made of.

/// Category, live instructors, services. The live ones are 65 in all.
pub(super) const CATEGORIES: [(&str, i64, &[&str]); 6] = [
    (
        "Arts",
        12,
        &["Drawing", "Painting", "Photography", "Ceramics"],
    ),
    (
        "Language",
        11,
        &["English", "Spanish", "French", "Mandarin"],
    ),
    (
        "Music",
        11,
        &["Piano", "Guitar", "Violin", "Singing", "Drums"],
    ),
    ("Tutoring", 11, &["Math", "Science", "Reading", "Test Prep"]),
    (
        "Hidden Gems",
        10,
        &["Chess", "Magic", "Juggling", "Calligraphy"],
    ),
    (
        "Sports & Fitness",
        10,
        &["Yoga", "Tennis", "Swimming", "Boxing"],
    ),
];

/// People who got equally far.
pub(super) struct Group {
    /// Stages of the funnel behind them.
    pub(super) reached: usize,
    pub(super) paused: bool,
    /// One instructor each: for how many days they have been where they are.
    pub(super) idle_days: &'static [i64],
}

impl Group {
    pub(super) const LIVE: Self = Self {
        reached: 7,
        paused: false,
        idle_days: &[],
    };
}

/// Everyone who is not live: 58 on their way, each group smaller than the one before, and 6 paused.
pub(super) const GROUPS: &[Group] = &[
    Group {
        reached: 1,
        paused: false,
        idle_days: &[0, 1, 1, 2, 3, 3, 4, 5, 6, 8, 9, 11, 13, 16, 21, 28, 37, 52],
    },
    Group {
        reached: 2,
        paused: false,
        idle_days: &[1, 2, 4, 6, 9, 14, 20, 33, 61],
    },
    Group {
        reached: 3,
        paused: false,
        idle_days: &[0, 1, 2, 3, 5, 7, 8, 10, 12, 18, 24, 31, 45],
    },
    Group {
        reached: 4,
        paused: false,
        idle_days: &[2, 3, 5, 8, 15, 22, 40, 75],
    },
    Group {
        reached: 5,
        paused: false,
        idle_days: &[1, 4, 7, 11, 19, 30],
    },
    Group {
        reached: 6,
        paused: false,
        idle_days: &[1, 3, 9, 26],
    },
    Group {
        reached: 7,
        paused: true,
        idle_days: &[48, 66, 80, 95, 110, 140],
    },
];

pub(super) const STUDENTS: i64 = 24;

/// Query, how often, typical number of results, bookings out of ten searches.
pub(super) const SEARCHES: &[(&str, i64, i64, i64)] = &[
    ("piano lessons", 46, 9, 3),
    ("guitar for beginners", 39, 8, 3),
    ("math tutor", 37, 7, 4),
    ("spanish conversation", 31, 8, 2),
    ("yoga near me", 28, 6, 2),
    ("drawing class", 24, 10, 2),
    ("swimming for kids", 21, 5, 1),
    ("tennis coach", 19, 6, 2),
    ("french tutor", 17, 6, 2),
    ("chess teacher", 15, 7, 3),
    ("test prep sat", 14, 4, 4),
    ("singing lessons", 13, 5, 2),
    ("photography workshop", 11, 8, 1),
    ("ceramics", 9, 4, 1),
    ("mandarin for adults", 8, 5, 1),
    ("boxing", 7, 4, 0),
    ("calligraphy", 5, 3, 1),
    ("juggling", 3, 2, 0),
    ("violin teacher weekend", 1, 3, 0),
    ("harp lessons", 12, 0, 0),
    ("sign language", 10, 0, 0),
    ("rock climbing", 8, 0, 0),
    ("ukrainian tutor", 6, 0, 0),
    ("beekeeping", 4, 0, 0),
    ("bagpipes", 2, 0, 0),
];

// 41 and 43: without a common divisor, 1,763 different names.
pub(super) const FIRST_NAMES: [&str; 41] = [
    "Maya", "Liam", "Sofia", "Noah", "Amara", "Ethan", "Priya", "Lucas", "Hana", "Oscar", "Elena",
    "Kofi", "Grace", "Mateo", "Ingrid", "Omar", "Chloe", "Diego", "Yuki", "Samuel", "Nadia",
    "Felix", "Rosa", "Arjun", "Clara", "Jonas", "Leila", "Marcus", "Tessa", "Andre", "Mei",
    "Victor", "Zoe", "Rafael", "Anika", "Peter", "Lucia", "Daniel", "Freya", "Malik", "Ruth",
];

pub(super) const LAST_NAMES: [&str; 43] = [
    "Chen", "Okafor", "Garcia", "Novak", "Patel", "Larsen", "Moreau", "Kim", "Silva", "Haddad",
    "Brooks", "Tanaka", "Rossi", "Meyer", "Mensah", "Jensen", "Alvarez", "Dubois", "Khan",
    "Murphy", "Ivanova", "Santos", "Weber", "Nakamura", "Cohen", "Reyes", "Hughes", "Bauer",
    "Osei", "Lopez", "Fischer", "Ali", "Bennett", "Costa", "Nguyen", "Walsh", "Romero", "Schmidt",
    "Ortiz", "Sato", "Carter", "Diaz", "Park",
];
