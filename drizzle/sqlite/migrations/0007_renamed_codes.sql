-- Error codes were renamed before 1.0: rows that hold an old one get its new name.
-- The audit trail keeps what it said: its hash chain allows no change.
UPDATE `grants` SET `error_code` = CASE `error_code`
  WHEN 'tokens_unreadable' THEN 'tokens_undecryptable'
  WHEN 'client_gone' THEN 'client_removed'
  WHEN 'site_gone' THEN 'site_removed'
  WHEN 'items_failed' THEN 'items_skipped'
  WHEN 'item_unfit' THEN 'item_invalid'
  WHEN 'short_listing' THEN 'listing_incomplete'
  WHEN 'nothing_visible' THEN 'listing_empty'
  WHEN 'code_refused' THEN 'invalid_code'
  WHEN 'callback_unfinished' THEN 'callback_interrupted'
  WHEN 'vault_key_worn_out' THEN 'vault_key_exhausted'
  WHEN 'nothing_held' THEN 'no_held_deletions'
  ELSE `error_code` END
WHERE `error_code` IN (
  'tokens_unreadable', 'client_gone', 'site_gone', 'items_failed',
  'item_unfit', 'short_listing', 'nothing_visible', 'code_refused',
  'callback_unfinished', 'vault_key_worn_out', 'nothing_held'
);--> statement-breakpoint
UPDATE `connections` SET `error_code` = CASE `error_code`
  WHEN 'tokens_unreadable' THEN 'tokens_undecryptable'
  WHEN 'client_gone' THEN 'client_removed'
  WHEN 'site_gone' THEN 'site_removed'
  WHEN 'items_failed' THEN 'items_skipped'
  WHEN 'item_unfit' THEN 'item_invalid'
  WHEN 'short_listing' THEN 'listing_incomplete'
  WHEN 'nothing_visible' THEN 'listing_empty'
  WHEN 'code_refused' THEN 'invalid_code'
  WHEN 'callback_unfinished' THEN 'callback_interrupted'
  WHEN 'vault_key_worn_out' THEN 'vault_key_exhausted'
  WHEN 'nothing_held' THEN 'no_held_deletions'
  ELSE `error_code` END
WHERE `error_code` IN (
  'tokens_unreadable', 'client_gone', 'site_gone', 'items_failed',
  'item_unfit', 'short_listing', 'nothing_visible', 'code_refused',
  'callback_unfinished', 'vault_key_worn_out', 'nothing_held'
);--> statement-breakpoint
UPDATE `history` SET `code` = CASE `code`
  WHEN 'tokens_unreadable' THEN 'tokens_undecryptable'
  WHEN 'client_gone' THEN 'client_removed'
  WHEN 'site_gone' THEN 'site_removed'
  WHEN 'items_failed' THEN 'items_skipped'
  WHEN 'item_unfit' THEN 'item_invalid'
  WHEN 'short_listing' THEN 'listing_incomplete'
  WHEN 'nothing_visible' THEN 'listing_empty'
  WHEN 'code_refused' THEN 'invalid_code'
  WHEN 'callback_unfinished' THEN 'callback_interrupted'
  WHEN 'vault_key_worn_out' THEN 'vault_key_exhausted'
  WHEN 'nothing_held' THEN 'no_held_deletions'
  ELSE `code` END
WHERE `code` IN (
  'tokens_unreadable', 'client_gone', 'site_gone', 'items_failed',
  'item_unfit', 'short_listing', 'nothing_visible', 'code_refused',
  'callback_unfinished', 'vault_key_worn_out', 'nothing_held'
);--> statement-breakpoint
UPDATE `runs` SET `error_code` = CASE `error_code`
  WHEN 'tokens_unreadable' THEN 'tokens_undecryptable'
  WHEN 'client_gone' THEN 'client_removed'
  WHEN 'site_gone' THEN 'site_removed'
  WHEN 'items_failed' THEN 'items_skipped'
  WHEN 'item_unfit' THEN 'item_invalid'
  WHEN 'short_listing' THEN 'listing_incomplete'
  WHEN 'nothing_visible' THEN 'listing_empty'
  WHEN 'code_refused' THEN 'invalid_code'
  WHEN 'callback_unfinished' THEN 'callback_interrupted'
  WHEN 'vault_key_worn_out' THEN 'vault_key_exhausted'
  WHEN 'nothing_held' THEN 'no_held_deletions'
  ELSE `error_code` END
WHERE `error_code` IN (
  'tokens_unreadable', 'client_gone', 'site_gone', 'items_failed',
  'item_unfit', 'short_listing', 'nothing_visible', 'code_refused',
  'callback_unfinished', 'vault_key_worn_out', 'nothing_held'
);--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"tokens_unreadable"', '"code":"tokens_undecryptable"')
WHERE `failures` LIKE '%"code":"tokens_unreadable"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"client_gone"', '"code":"client_removed"')
WHERE `failures` LIKE '%"code":"client_gone"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"site_gone"', '"code":"site_removed"')
WHERE `failures` LIKE '%"code":"site_gone"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"items_failed"', '"code":"items_skipped"')
WHERE `failures` LIKE '%"code":"items_failed"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"item_unfit"', '"code":"item_invalid"')
WHERE `failures` LIKE '%"code":"item_unfit"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"short_listing"', '"code":"listing_incomplete"')
WHERE `failures` LIKE '%"code":"short_listing"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"nothing_visible"', '"code":"listing_empty"')
WHERE `failures` LIKE '%"code":"nothing_visible"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"code_refused"', '"code":"invalid_code"')
WHERE `failures` LIKE '%"code":"code_refused"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"callback_unfinished"', '"code":"callback_interrupted"')
WHERE `failures` LIKE '%"code":"callback_unfinished"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"vault_key_worn_out"', '"code":"vault_key_exhausted"')
WHERE `failures` LIKE '%"code":"vault_key_worn_out"%';--> statement-breakpoint
UPDATE `runs` SET `failures` = replace(`failures`, '"code":"nothing_held"', '"code":"no_held_deletions"')
WHERE `failures` LIKE '%"code":"nothing_held"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"tokens_unreadable"', '"code":"tokens_undecryptable"')
WHERE `outcome` LIKE '%"code":"tokens_unreadable"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"client_gone"', '"code":"client_removed"')
WHERE `outcome` LIKE '%"code":"client_gone"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"site_gone"', '"code":"site_removed"')
WHERE `outcome` LIKE '%"code":"site_gone"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"items_failed"', '"code":"items_skipped"')
WHERE `outcome` LIKE '%"code":"items_failed"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"item_unfit"', '"code":"item_invalid"')
WHERE `outcome` LIKE '%"code":"item_unfit"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"short_listing"', '"code":"listing_incomplete"')
WHERE `outcome` LIKE '%"code":"short_listing"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"nothing_visible"', '"code":"listing_empty"')
WHERE `outcome` LIKE '%"code":"nothing_visible"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"code_refused"', '"code":"invalid_code"')
WHERE `outcome` LIKE '%"code":"code_refused"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"callback_unfinished"', '"code":"callback_interrupted"')
WHERE `outcome` LIKE '%"code":"callback_unfinished"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"vault_key_worn_out"', '"code":"vault_key_exhausted"')
WHERE `outcome` LIKE '%"code":"vault_key_worn_out"%';--> statement-breakpoint
UPDATE `flows` SET `outcome` = replace(`outcome`, '"code":"nothing_held"', '"code":"no_held_deletions"')
WHERE `outcome` LIKE '%"code":"nothing_held"%';--> statement-breakpoint
-- The option of a connection is stored under its name on the wire.
UPDATE `connections` SET `options` = replace(`options`, '"pageBodies":', '"page_bodies":')
WHERE `options` LIKE '%"pageBodies":%';
