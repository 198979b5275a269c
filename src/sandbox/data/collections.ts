/** The kinds of things a site holds, by the names that sizes, restrictions and spoils go by. */
export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const
export type CollectionName = (typeof COLLECTIONS)[number]
