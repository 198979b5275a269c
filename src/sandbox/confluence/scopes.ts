import type { ScopeRequirement } from '../oauth/scopes.ts'

/** The scopes of Confluence, and how the consent page describes them. */
export const CONFLUENCE_SCOPES: Record<string, string> = {
  'read:confluence-content.all': 'Read Confluence detailed content',
  'read:confluence-content.summary': 'Read Confluence content summary',
  'read:confluence-space.summary': 'Read Confluence space summary',
  'read:confluence-user': 'Read user profiles in Confluence',
  'search:confluence': 'Search Confluence content and space summaries',
  'write:confluence-content': 'Create and edit Confluence content',
  'readonly:content.attachment:confluence': 'Download Confluence attachments',
  'read:page:confluence': 'View pages',
  'read:space:confluence': 'View spaces',
  'read:space-details:confluence': 'View space details',
  'read:user:confluence': 'View Confluence user details',
  'read:content-details:confluence': 'View content details and search',
  'read:attachment:confluence': 'View attachments',
  'read:comment:confluence': 'View comments',
  'read:folder:confluence': 'View folders',
  'read:database:confluence': 'View databases',
  'read:whiteboard:confluence': 'View whiteboards',
  'read:hierarchical-content:confluence': 'View the tree of contents'
}

/** What each call requires (docs/reference/atlassian.md#6-scopes). */
export const CONFLUENCE_REQUIREMENTS = {
  pages: [['read:page:confluence']],
  spaces: [['read:space:confluence']],
  folders: [['read:folder:confluence']],
  databases: [['read:database:confluence']],
  whiteboards: [['read:whiteboard:confluence']],
  tree: [['read:hierarchical-content:confluence']],
  cql: [['search:confluence'], ['read:content-details:confluence']],
  legacyUser: [['read:confluence-user'], ['read:content-details:confluence']],
  legacyContent: [
    ['read:confluence-content.all'],
    ['read:confluence-content.summary'],
    ['read:content-details:confluence']
  ],
  legacySpace: [
    ['read:confluence-space.summary'],
    ['read:confluence-content.all'],
    ['read:space-details:confluence']
  ]
} satisfies Record<string, ScopeRequirement>
