/** The collections of a site, by the names that sizes, restrictions and corruptions use. */
export const COLLECTIONS = ['projects', 'issues', 'spaces', 'pages'] as const
export type CollectionName = (typeof COLLECTIONS)[number]
