/** Accounts as the API has them. */

/** Who signs in at this control plane. Our own addition, for its operator. */
export interface Account {
  id: string;
  username: string;
  full_name: string;
  /** In whose invitations are found; `""`: none. */
  email: string;
  /** Runs this control plane. */
  operator: boolean;
  disabled: boolean;
  created_at: string;
  /** Its user in the API, once the person has signed in. */
  user_id?: string;
}

/** Body of `PATCH /api/accounts/{id}`; what is absent stays. */
export interface UpdateAccount {
  full_name?: string | null | undefined;
  email?: string | null | undefined;
  operator?: boolean | null | undefined;
  disabled?: boolean | null | undefined;
}

/** Body of `POST /api/accounts`. */
export interface AddAccount {
  username?: string | null | undefined;
  full_name?: string | null | undefined;
  email?: string | null | undefined;
  operator?: boolean | null | undefined;
  /** Made, and answered once, where it is absent. */
  password?: string | null | undefined;
}
