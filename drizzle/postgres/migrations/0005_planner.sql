ALTER TABLE "connections" ADD COLUMN "routine_points" bigint;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "listing_points" bigint;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "full_points" bigint;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "app" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "scope" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "target" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "reason" text;--> statement-breakpoint
ALTER TABLE "budgets" ADD COLUMN "quota" bigint;