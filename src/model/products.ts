/** The products, by the word they have in URLs, settings and rows, and as people call them. */
export const PRODUCT_TITLES = { jira: 'Jira', confluence: 'Confluence' } as const

export type ProviderId = keyof typeof PRODUCT_TITLES
